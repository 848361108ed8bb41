-- stage.lua: makes a stage the consumer of its in-queues and tells the workers
-- KEYS 1 stages   hash of all stages
-- KEYS 2 workers  zset of the live workers
-- KEYS 3+ meta    m:<queue> of each in-queue, of each out-queue, then of each queue of the stage that makes way
-- ARGV 1 stage    its id
-- ARGV 2 record   JSON
-- ARGV 3 prefix   of mailbox keys
-- ARGV 4 ins      number of in-queues
-- ARGV 5 outs     number of out-queues
-- ARGV 6 old      record of this id that is replaced, '': there is none
-- ARGV 7 away     id of another stage that makes way, '': none does
-- reply: {'ok'}, {'gone', number of the queue}, {'taken', number of the in-queue, its consumer} or {'exists', number of the in-queue, record of a stage that is in the way}
local last_in = 2 + tonumber(ARGV[4])
local last_out = last_in + tonumber(ARGV[5])
local this, away = 'stage:' .. ARGV[1], ARGV[7] ~= '' and 'stage:' .. ARGV[7]
for i = 3, last_out do
  local meta = redis.call('HMGET', KEYS[i], 'inc', 'consumer', 'dying')
  if not meta[1] or meta[3] then return {'gone', i - 3, ''} end
  if i <= last_in and meta[2] and meta[2] ~= this and meta[2] ~= away then
    local stage = string.match(meta[2], '^stage:(.+)$')
    local record = stage and redis.call('HGET', KEYS[1], stage)
    if record then return {'exists', i - 3, record} end
    return {'taken', i - 3, meta[2]}
  end
end
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old == ARGV[2] then return {'ok'} end
if old and old ~= ARGV[6] then return {'exists', 0, old} end
for i = last_out + 1, #KEYS do
  if redis.call('HGET', KEYS[i], 'consumer') == away then redis.call('HDEL', KEYS[i], 'consumer') end
  redis.call('HDEL', KEYS[i], 's:' .. ARGV[7])
end
if away then redis.call('HDEL', KEYS[1], ARGV[7]) end
for i = 3, last_out do
  if i <= last_in then
    redis.call('HSET', KEYS[i], 'consumer', this)
  else
    redis.call('HSET', KEYS[i], 's:' .. ARGV[1], 1)
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for _, worker in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  tell(ARGV[3] .. worker, 'stages', ARGV[1])
  if away then tell(ARGV[3] .. worker, 'stages', ARGV[7]) end
end
return {'ok'}
