-- leave.lua: takes a process out of its registry
-- KEYS 1 registry  zset workers or executors
-- KEYS 2 card      hash w:<id> or e:<id>
-- KEYS 3 mailbox   p:<id>
-- KEYS 4 watcher   hash: the process that looks for the dead
-- KEYS 5 fenced    hash of the processes that were declared dead
-- ARGV 1 id        of the process
-- ARGV 2 mark      w:<id> or e:<id>, if nothing is left to clean up after it, else ''
-- reply: 1 where it was there
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HDEL', KEYS[5], ARGV[2])
if (redis.call('HGET', KEYS[4], 'id') or ARGV[1]) == ARGV[1] then
  redis.call('HDEL', KEYS[4], 'id')
  if redis.call('EXISTS', KEYS[5]) == 0 then redis.call('DEL', KEYS[4]) end -- otherwise entries there have a watched time
end
return redis.call('ZREM', KEYS[1], ARGV[1])
