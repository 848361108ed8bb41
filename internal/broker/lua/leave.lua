-- leave.lua: takes a process out of its registry; the watcher cleans up the keys of an executor, or a worker's name, as if it had died
-- KEYS 1 registry  zset workers or executors
-- KEYS 2 card      hash w:<id> or e:<id>
-- KEYS 3 mailbox   p:<id>
-- KEYS 4 watcher   hash: the process that looks for the dead
-- KEYS 5 fenced    hash of the processes that were declared dead
-- KEYS 6 holds     holds:<id>, the sources of an executor
-- KEYS 7 owned     own:<id>, the queues of an executor
-- KEYS 8 awaited   awaited:<id>, the queues of its gathers that others wait for
-- ARGV 1 id        of the process
-- ARGV 2 mark      w:<id> or e:<id>
-- ARGV 3 prefix    of all keys
-- ARGV 4 names     1 if a worker has left its name in streams
-- reply: 1 where it was there
local names = ARGV[4] == '1'
if names or redis.call('EXISTS', KEYS[6], KEYS[7]) > 0 then
  local card = redis.call('HMGET', KEYS[2], 'pid', 'host')
  redis.call('HDEL', KEYS[5], ARGV[2]) -- a script that has begun to delete may add, also where the memory is full
  redis.call('HSET', KEYS[5], ARGV[2], fenced_entry(KEYS[4], names and 2 or 0, card[1], card[2])) -- a name needs the last clean-up only
elseif string.sub(ARGV[2], 1, 1) == 'e' then
  redis.call('HDEL', KEYS[5], ARGV[2])
end -- a worker that was fenced may still have read something
redis.call('DEL', KEYS[2], KEYS[3])
if (redis.call('HGET', KEYS[4], 'id') or ARGV[1]) == ARGV[1] then
  redis.call('HDEL', KEYS[4], 'id')
  if redis.call('EXISTS', KEYS[5]) == 0 then redis.call('DEL', KEYS[4]) end -- otherwise entries there have a watched time
end
local was = redis.call('ZREM', KEYS[1], ARGV[1])
leave_gathers(ARGV[3], KEYS[8])
return was
