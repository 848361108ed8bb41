-- ring.lua: wakes another worker for ready queues: the worker that was told of them cannot read them now
-- KEYS 1+ metas  {m:<queue>}*  for each queue
-- ARGV 1 prefix  of all keys
-- reply told  number of queues for which a worker was woken
local told = 0
for _, meta in ipairs(KEYS) do
  local queue = string.sub(meta, #ARGV[1] + 3)
  local classes, stage, ready = servers(ARGV[1], redis.call('HGET', meta, 'ring'))
  if classes and redis.call('ZSCORE', ready, queue) and ring_one(ARGV[1], classes, queue, stage) then told = told + 1 end
end
return told
