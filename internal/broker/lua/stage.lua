-- stage.lua: makes a stage the consumer of its in-queues and tells the workers
-- KEYS 1 stages   hash of all stages
-- KEYS 2 workers  zset of the live workers
-- KEYS 3+ meta    m:<queue> of each in-queue, then of each out-queue
-- ARGV 1 stage    its id
-- ARGV 2 record   JSON
-- ARGV 3 prefix   of mailbox keys
-- ARGV 4 ins      number of in-queues
-- reply: {'ok'}, {'taken', number of the in-queue, its consumer} or {'gone', number of the queue}
local last = 2 + tonumber(ARGV[4]) -- in-queue
for i = 3, #KEYS do
  local meta = redis.call('HMGET', KEYS[i], 'inc', 'consumer', 'dying')
  if not meta[1] or meta[3] then return {'gone', i - 3, ''} end
  if i <= last and meta[2] and meta[2] ~= 'stage:' .. ARGV[1] then return {'taken', i - 3, meta[2]} end
end
for i = 3, #KEYS do
  if i <= last then
    redis.call('HSET', KEYS[i], 'consumer', 'stage:' .. ARGV[1])
  else
    redis.call('HSET', KEYS[i], 's:' .. ARGV[1], 1)
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for _, worker in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  tell(ARGV[3] .. worker, 'stages', ARGV[1])
end
return {'ok'}
