-- unstage.lua: removes a stage; its in-queues have no consumer then
-- KEYS 1 stages   hash of all stages
-- KEYS 2 workers  zset of the live workers
-- KEYS 3+ meta    m:<queue> of each in-queue and each out-queue
-- ARGV 1 stage    its id
-- ARGV 2 prefix   of mailbox keys
-- reply: 1 where it was there
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
for i = 3, #KEYS do
  if redis.call('HGET', KEYS[i], 'consumer') == 'stage:' .. ARGV[1] then
    redis.call('HDEL', KEYS[i], 'consumer')
  end
  redis.call('HDEL', KEYS[i], 's:' .. ARGV[1])
end
for _, worker in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  tell(ARGV[2] .. worker, 'stages', ARGV[1])
end
return redis.call('HDEL', KEYS[1], ARGV[1])
