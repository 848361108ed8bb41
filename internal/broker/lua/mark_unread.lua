-- mark_unread.lua: makes those of some queues ready that have entries which no worker has read, and
--   wakes a worker for each: a ring may be lost
-- KEYS 1 stages  stages
-- KEYS 2 classes  classes
-- ARGV 1 prefix  of all keys
-- ARGV 2+ queues  {queue, stage}*  for each queue
-- field queue  its name
-- field stage  the id of the stage that reads it
-- reply [{signature}*]  those of the stages of these queues, each once; none if no worker waits for rings
-- field signature  of the function of a stage, see the field ring of metas
if redis.call('EXISTS', KEYS[2]) == 0 then return {} end
redis.call('HDEL', KEYS[2], '') -- a script that has begun to delete may add, also where the memory is full
local prefix, noted, signatures = ARGV[1], {}, {}

-- ring_of returns the field ring of a queue, and writes it if the stage was made by an earlier version.
local function ring_of(queue, stage)
  local meta = redis.call('HMGET', prefix .. 'm:' .. queue, 'ring', 'consumer')
  if meta[1] or meta[2] ~= 'stage:' .. stage then return meta[1] end
  local record = redis.call('HGET', KEYS[1], stage)
  if record then follow(prefix, queue, stage, record) end
  return redis.call('HGET', prefix .. 'm:' .. queue, 'ring')
end

local function mark(queue, stage)
  local ring = ring_of(queue, stage)
  local signed = string.match(ring or '', '^%d+ %S+ (.*)$')
  if not signed then return end
  if not noted[signed] then
    noted[signed], signatures[#signatures + 1] = true, signed
    enroll(prefix, signed)
  end
  if not (has_unread(prefix .. 'q:' .. queue) or has_unread(prefix .. 'r:' .. queue) or has_unread(prefix .. 'x:' .. queue)) then return end
  if has_limits(ring) and not release(prefix, queue, 0) then return end
  local classes, told, ready = servers(prefix, ring)
  if not classes then return end
  local score = redis.call('ZSCORE', ready, queue)
  if not score or is_single(score) then enqueue(prefix, ready, queue) end -- the worker that has claimed it may be dead
  ring_one(prefix, classes, queue, told)
end

for i = 2, #ARGV, 2 do
  local done, failure = pcall(mark, ARGV[i], ARGV[i + 1])
  local text = not done and tostring(type(failure) == 'table' and failure.err or failure)
  -- A stranger's key in the place of one queue holds up no other one.
  if text and not string.find(text, 'WRONGTYPE', 1, true) then return redis.error_reply(text) end
end
return signatures
