-- abandon_sources.lua: fences some sources of an executor that is not in the registry, gives them
--   up and tells the gathers
-- KEYS 1 holds  holds:<executor>  names of its sources
-- KEYS 2 executors  executors
-- ARGV 1 executor  its id
-- ARGV 2 cause  why, a text for the gathers
-- ARGV 3 prefix  of all keys
-- ARGV 4 count  most sources that the call looks at
-- reply looked  sources that it looked at; fewer than count: none is left
if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('SREM', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full

local function abandon(name)
  local key = ARGV[3] .. 's:' .. name
  local source = redis.call('HMGET', key, 'by', 'end', 'away', 'queue', 'inc')
  if source[1] ~= ARGV[1] or tonumber(source[2]) >= 0 or source[3] then return end
  local meta = ARGV[3] .. 'm:' .. source[4]
  if redis.call('HGET', meta, 'inc') ~= source[5] then return end
  redis.call('HINCRBY', key, 'epoch', 1)
  give_up(key, ARGV[2])
  note_change(meta, ARGV[3] .. 'src:' .. source[4], name)
  notify(ARGV[3] .. 'watch:' .. source[4], 'end', name)
end

local names = redis.call('SRANDMEMBER', KEYS[1], ARGV[4])
for _, name in ipairs(names) do
  local done, failure = pcall(abandon, name)
  local text = not done and tostring(type(failure) == 'table' and failure.err or failure)
  -- A stranger's key in the place of one source holds up no other one.
  if text and not string.find(text, 'WRONGTYPE', 1, true) then return redis.error_reply(text) end
  redis.call('SREM', KEYS[1], name)
end
return #names
