-- ring.lua: wakes another worker for ready queues: the worker that was told of them cannot read them now
-- KEYS 1+ metas  {m:<queue>}*  for each queue
-- ARGV 1 prefix  of all keys
-- reply told  number of queues for which a worker was woken
local told = 0
for _, meta in ipairs(KEYS) do
  local queue = string.sub(meta, #ARGV[1] + 3)
  local classes, stage, ready = servers(ARGV[1], redis.call('HGET', meta, 'ring'))
  local score = classes and redis.call('ZSCORE', ready, queue)
  if score then
    local rung = ring_one(ARGV[1], classes, queue, stage)
    if rung then told = told + 1 end
    if is_single(score) and rung then claim(ready, queue, now_ms()) end
    if is_single(score) and not rung then enqueue(ARGV[1], ready, queue, true) end -- for the next one that asks
  end
end
return told
