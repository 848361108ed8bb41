-- mark_deleting.lua: marks a queue as dying, so that all scripts refuse it
-- KEYS 1 meta  m:<queue>
-- KEYS 2 wait  wait:<queue>
-- KEYS 3 watch  watch:<queue>
-- KEYS 4 own  own:<executor>  of the executor that deletes it
-- ARGV 1 queue  its name
-- ARGV 2 prefix  of all keys
-- ARGV 3 owner  executor that the queue has to go with, unless it is dying; empty: any
-- ARGV 4 by  executor that deletes it, whose death lets another process go on; empty: none
-- reply 'gone'
-- reply [{stage}*]  the stages that read the queue or add to it, sorted
-- field stage  its id
-- word gone  there is no such queue, or it belongs to another owner
local queue = redis.call('HMGET', KEYS[1], 'inc', 'owner', 'dying')
if not queue[1] or ARGV[3] ~= '' and queue[2] ~= ARGV[3] and not queue[3] then return 'gone' end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[1], 'dying', 1)
if ARGV[4] ~= '' then redis.call('SADD', KEYS[4], ARGV[1]) end
tell_all(KEYS[2], 'room', ARGV[1])
tell_all(KEYS[3], 'gone', ARGV[1])
release_standby(ARGV[2], redis.call('HGET', KEYS[1], 'gatherer'), ARGV[1])
local meta, stages = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #meta, 2 do
  local stage = string.match(meta[i], '^s:(.+)$')
  if meta[i] == 'consumer' then stage = string.match(meta[i + 1], '^stage:(.+)$') end
  if stage then table.insert(stages, stage) end
end
table.sort(stages)
return stages
