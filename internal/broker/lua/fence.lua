-- fence.lua: declares processes dead, unless they have beaten since they were looked at
-- KEYS 1 workers  workers
-- KEYS 2 executors  executors
-- KEYS 3 fenced  fenced
-- KEYS 4 watcher  watcher
-- ARGV 1 prefix  of all keys
-- ARGV 2+ processes  {mark, beat}*  for each process
-- field mark  w:<id> or e:<id>
-- field beat  its last heartbeat, as it was read
-- reply [{entry}*]  for each process, in their order
-- field entry  its new field of fenced; empty: it has beaten since, or is not in the registry
local replies = {}
for i = 2, #ARGV, 2 do
  local mark = ARGV[i]
  local kind, id = string.match(mark, '^(%a):(.*)$')
  local registry = kind == 'w' and KEYS[1] or KEYS[2]
  local beat = redis.call('ZSCORE', registry, id)
  local entry = ''
  if beat and tonumber(beat) == tonumber(ARGV[i + 1]) then
    local card = redis.call('HMGET', ARGV[1] .. mark, 'pid', 'host')
    entry = fenced_entry(KEYS[4], 0, card[1], card[2])
    redis.call('ZREM', registry, id)
    redis.call('DEL', ARGV[1] .. mark, ARGV[1] .. 'p:' .. id)
    redis.call('HSET', KEYS[3], mark, entry)
    if kind == 'w' then redis.call('HINCRBY', KEYS[4], 'deaths', 1) end
    if kind == 'e' then leave_gathers(ARGV[1], ARGV[1] .. 'awaited:' .. id) end
    if kind == 'w' then forget_worker(ARGV[1], id) end
  end
  replies[#replies + 1] = entry
end
return replies
