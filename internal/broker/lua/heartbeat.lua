-- heartbeat.lua: renews a lease; one process at a time, the watcher, is also told of all others, to
--   find the dead
-- KEYS 1 registry  workers|executors
-- KEYS 2 card  w:<id>|e:<id>
-- KEYS 3 watcher  watcher
-- KEYS 4 workers  workers
-- KEYS 5 executors  executors
-- KEYS 6 fenced  fenced
-- KEYS 7 due  due
-- ARGV 1 id  of the process
-- ARGV 2 silence  ms of the watcher after which another one takes its place; 0: this process is
--   never the watcher
-- ARGV 3+ card  {field, value}*  changed fields of the card
-- field field  name of a field of the card
-- field value  of that field
-- reply ['fenced']
-- reply ['ok', live, overdue, time]
-- reply ['ok', live, overdue, time, [{id, beat}*], [{id, beat}*], [{mark, entry}*], watched,
--   [{queue}*]]  for the watcher: workers, executors, fenced, queues for expire.lua
-- field live  number of live workers
-- field overdue  ms that the first delayed entry is overdue, 0: none is
-- field id  of a process
-- field beat  its last heartbeat in ms
-- field mark  w:<id> or e:<id>
-- field entry  its field of fenced
-- field queue  name of a queue that is to be looked at, see expire.lua
-- field time  of Redis in ms
-- field watched  the watched time in ms
-- word ok  the lease is renewed
-- word fenced  the process is not in the registry: it was declared dead, or has left
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {'fenced'} end
local ms = now_ms()
redis.call('HDEL', KEYS[2], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('ZADD', KEYS[1], ms, ARGV[1])
redis.call('HSET', KEYS[2], 'seen', ms, unpack(ARGV, 3))
local live = redis.call('ZCARD', KEYS[4])
local first = redis.call('ZRANGE', KEYS[7], 0, 0, 'WITHSCORES')
local overdue = first[1] and math.max(0, math.floor(ms - tonumber(first[2]))) or 0
local watcher = redis.call('HMGET', KEYS[3], 'id', 'at', 'watched')
local silence = tonumber(ARGV[2])
if silence == 0 then
  if watcher[1] == ARGV[1] then redis.call('HDEL', KEYS[3], 'id') end
  return {'ok', live, overdue, ms}
end
local since = ms - tonumber(watcher[2] or 0)
if watcher[1] and watcher[1] ~= ARGV[1] and math.abs(since) < silence then
  return {'ok', live, overdue, ms}
end
-- The watched time runs while a watcher beats: it stands still in an outage, and does not follow a clock that jumps.
local watched = ms
if watcher[3] then watched = tonumber(watcher[3]) + math.max(0, math.min(since, silence)) end
redis.call('HSET', KEYS[3], 'id', ARGV[1], 'at', ms, 'watched', watched)
local expiring = redis.pcall('ZRANGEBYSCORE', string.gsub(KEYS[3], 'watcher$', 'expiring'), '-inf', ms, 'LIMIT', 0, 1000)
if expiring.err then expiring = {} end -- the user of the process may not read it
return {'ok', live, overdue, ms, redis.call('ZRANGE', KEYS[4], 0, -1, 'WITHSCORES'),
  redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES'), redis.call('HGETALL', KEYS[6]), watched, expiring}
