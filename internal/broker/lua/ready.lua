-- ready.lua: names ready queues for a worker, or notes that it waits for a ring
-- KEYS 1 classes  classes
-- KEYS 2 idle  idle:<class>
-- KEYS 3 stages  stages
-- KEYS 4 workers  workers
-- ARGV 1 worker  its id
-- ARGV 2 class  the id of its class
-- ARGV 3 prefix  of all keys
-- ARGV 4 count  most queues
-- ARGV 5 wait  1 if it waits for a ring when no queue is ready, otherwise 0
-- ARGV 6 pace  ms between two passes of mark_unread.lua over all queues, at least as many as there
--   are stages; 0: a pass is due
-- ARGV 7+ skipped  {queue}*  ready queues that the worker cannot read now
-- field queue  its name
-- reply [status, stages, workers, pass, [{ready}*], waited]
-- field stages  number of stages
-- field workers  number of workers
-- field pass  1 if the worker is to make the pass that is due, otherwise 0
-- field ready  '<queue> <revision> <stage>', with the revision of the record of the stage
-- field waited  1 if the worker waited for a ring until this call and does not now; 0 also if it was rung
--   before
-- word ok  the worker does not wait: the queues are ready, or those that are skipped
-- word idle  it waits for a ring
-- word gone  it is not in the class
local prefix, count = ARGV[3], tonumber(ARGV[4])
local class = redis.call('HMGET', KEYS[1], 'm:' .. ARGV[1], 'w:' .. ARGV[2], 'pass')
if class[1] ~= ARGV[2] then return {'gone', 0, 0, 0, {}, 0} end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
local skipped, left_out, ms = {}, false, now_ms()
for i = 7, #ARGV do skipped[ARGV[i]] = true end

-- look returns the first ready queues of all signatures that no other worker has claimed, those that are
-- ready longest first. It takes away queues that no stage of the signature reads any more, and reports
-- whether there were any.
local function look()
  local found, gone = {}, false
  for signature in string.gmatch(class[2] or '', '[^\n]+') do
    local ready = prefix .. 'ready:' .. signature
    local first = redis.call('ZRANGE', ready, 0, count + #ARGV - 6, 'WITHSCORES')
    for i = 1, #first, 2 do
      local stage, other = string.match(redis.call('HGET', prefix .. 'm:' .. first[i], 'ring') or '', '^(%d+ %S+) (.*)$')
      if other ~= signature then
        redis.call('ZREM', ready, first[i])
        gone = true
      elseif skipped[first[i]] then
        left_out = true
      elseif not is_claimed(tonumber(first[i + 1]), ms) then
        found[#found + 1] = {at = tonumber(first[i + 1]), ready = ready, queue = first[i], stage = stage}
      end
    end
  end
  return found, gone
end

local found, gone = look()
while #found == 0 and gone do found, gone = look() end
table.sort(found, function(a, b) return a.at < b.at end)
local named = {}
for i = 1, math.min(count, #found) do
  local one = found[i]
  named[i] = one.queue .. ' ' .. one.stage
  if is_single(one.at) then
    claim(one.ready, one.queue, ms)
  elseif #found > count then
    enqueue(prefix, one.ready, one.queue) -- the next worker gets another one
  end
end

local pass, stages, pace = 0, redis.call('HLEN', KEYS[3]), tonumber(ARGV[6])
if pace > 0 then pace = math.max(pace, stages) end
if math.abs(ms - tonumber(class[3] or 0)) >= pace then
  redis.call('HSET', KEYS[1], 'pass', ms)
  pass = 1
end
local status = 'ok'
local waited = 0
if #named == 0 and not left_out and ARGV[5] == '1' then
  redis.call('ZADD', KEYS[2], ms, ARGV[1])
  status = 'idle'
else
  waited = redis.call('ZREM', KEYS[2], ARGV[1])
end
return {status, stages, redis.call('ZCARD', KEYS[4]), pass, named, waited}
