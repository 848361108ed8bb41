-- orphan.lua: fences the sources of a queue whose executor is dead, gives them up and tells the gathers
-- KEYS 1 sources   src:<queue>
-- KEYS 2 watch     watch:<queue>, mailboxes of its gathers
-- KEYS 3 meta      m:<queue>
-- ARGV 1 executor  that is dead
-- ARGV 2 cause     why, for the gathers
-- ARGV 3 prefix    of source keys
-- reply: sources given up
redis.call('SREM', KEYS[2], '') -- a script that has begun to delete may add, also where the memory is full
local given_up = 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local key = ARGV[3] .. name
  local source = redis.call('HMGET', key, 'by', 'end', 'away')
  if source[1] == ARGV[1] and tonumber(source[2]) < 0 and not source[3] then
    redis.call('HINCRBY', key, 'epoch', 1)
    give_up(key, ARGV[2])
    given_up = given_up + 1
    note_change(KEYS[3], KEYS[1], name)
    notify(KEYS[2], 'end', name)
  end
end
return given_up
