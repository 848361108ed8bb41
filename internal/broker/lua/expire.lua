-- expire.lua: looks whether the flow of a queue that expires is in use, and marks the queues of a flow as
--   dying that has been out of use for the time of the queue
-- KEYS 1 expiring  expiring
-- KEYS 2 executors  executors
-- KEYS 3 workers  workers
-- KEYS 4 stages  stages
-- ARGV 1 prefix  of all keys
-- ARGV 2 queue  its name
-- ARGV 3 after  number of the last change that an earlier call of this look has read, 0 to begin
-- ARGV 4 count  most sources that the call looks at
-- reply [status, {more}*]
-- field more  of more: the number of the last change that the call has read; of expired: the queues that
--   are to be deleted, upstream first
-- word used  a process uses the flow, or has used it since the last look
-- word idle  no process uses the flow, but not for long enough
-- word more  the sources of this page are out of use: a call for the next page follows
-- word expired  the queues are dying
-- word gone  there is no such queue: it is forgotten
local prefix, root = ARGV[1], ARGV[2]
local key = prefix .. 'm:' .. root
local meta = redis.call('HMGET', key, 'inc', 'dying', 'expires', 'unused', 'changes')
redis.call('ZREM', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
if not meta[1] then
  redis.call('ZREM', KEYS[1], root)
  return {'gone'}
end
if meta[2] then return {'expired', root} end

local used = false -- by a live process
local seen, queues, sum = {}, {}, 0

-- held tells whether a live worker has read entries of a stream that are not finished.
local function held(stream)
  if redis.call('EXISTS', stream) == 0 then return false end
  for _, holder in ipairs(redis.call('XPENDING', stream, 'w')[4] or {}) do
    if redis.call('ZSCORE', KEYS[3], holder[1]) then return true end
  end
  return false
end

-- visit notes a queue and those behind it.
local function visit(name)
  if seen[name] then return end
  seen[name] = true
  local q = redis.call('HMGET', prefix .. 'm:' .. name, 'inc', 'consumer', 'gatherer', 'items', 'fused', 'gepoch', 'from')
  if not q[1] then return end
  queues[#queues + 1] = name
  sum = sum + (tonumber(q[4]) or 0) + (tonumber(q[5]) or 0) + (tonumber(q[6]) or 0)
  used = used or q[3] and redis.call('ZSCORE', KEYS[2], q[3])
  for _, kind in ipairs({'q:', 'r:', 'x:'}) do used = used or held(prefix .. kind .. name) end
  for other in string.gmatch(q[7] or '', '"([^"~]+)[^"]*"') do used = used or other ~= root end -- a merge joins another flow
  local stage = string.match(q[2] or '', '^stage:(.+)$')
  local record = stage and redis.call('HGET', KEYS[4], stage)
  for _, queue in ipairs(queues_in(record, 'outs')) do visit(queue) end
end

visit(root)
if not used then
  local rows = redis.call('ZRANGEBYSCORE', prefix .. 'src:' .. root, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
  for i = 1, #rows, 2 do
    local source = redis.call('HMGET', prefix .. 's:' .. rows[i], 'by', 'end')
    local _, private = private_of(rows[i])
    local gatherer = private and redis.call('HGET', prefix .. 'm:' .. private, 'gatherer')
    used = used or tonumber(source[2] or 0) < 0 and redis.call('ZSCORE', KEYS[2], source[1] or '') or
      gatherer and redis.call('ZSCORE', KEYS[2], gatherer)
  end
  if not used and #rows == 2 * tonumber(ARGV[4]) then return {'more', rows[#rows]} end
end

-- These numbers only grow. If they are those of the last look, nothing began, ended or moved since.
local state = string.format('%s %s %d %.0f', used and 'used' or 'idle', meta[5] or '0', #queues, sum)
local now, time = now_ms(), tonumber(meta[3])
local since, before = string.match(meta[4] or '', '^(%d+) (.*)$')
local late = now - tonumber(redis.call('ZSCORE', KEYS[1], root) or 0)
-- A look that is late comes after an outage, or the clock has jumped: the time begins anew.
if used or state ~= before or late > time / 2 or late < -time then since = now end
if now - tonumber(since) < time then
  redis.call('HSET', key, 'unused', string.format('%d %s', tonumber(since), state))
  redis.call('ZADD', KEYS[1], now + math.ceil(time / 4), root)
  return {used and 'used' or 'idle'}
end
for _, queue in ipairs(queues) do
  redis.call('HSET', prefix .. 'm:' .. queue, 'dying', 1)
  redis.call('HSETNX', prefix .. 'm:' .. queue, 'expires', 0)
  redis.call('ZADD', KEYS[1], now, queue)
end
return {'expired', unpack(queues)}
