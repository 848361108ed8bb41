-- leave.lua: takes a process out of its registry; the watcher cleans up the keys of an executor, or
--   the name of a worker, as after a death
-- KEYS 1 registry  workers|executors
-- KEYS 2 card  w:<id>|e:<id>
-- KEYS 3 mailbox  p:<id>
-- KEYS 4 watcher  watcher
-- KEYS 5 fenced  fenced
-- KEYS 6 holds  holds:<executor>  with the id of the process
-- KEYS 7 owned  own:<executor>  likewise
-- KEYS 8 awaited  awaited:<id>
-- ARGV 1 id  of the process
-- ARGV 2 mark  w:<id> or e:<id>
-- ARGV 3 prefix  of all keys
-- ARGV 4 names  1 if a worker has left its name in streams, otherwise 0
-- reply 1  the process was in the registry
-- reply 0  it was not
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
  if redis.call('EXISTS', KEYS[5]) == 0 then redis.call('HDEL', KEYS[4], 'at', 'watched', 'deaths') end -- otherwise entries there have a watched time
end
local was = redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('EXISTS', KEYS[5], ARGV[3] .. 'workers', ARGV[3] .. 'executors') == 0 then redis.call('DEL', KEYS[4]) end
if string.sub(ARGV[2], 1, 1) == 'w' then forget_worker(ARGV[3], ARGV[1]) end
leave_gathers(ARGV[3], KEYS[8])
return was
