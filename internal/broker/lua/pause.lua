-- pause.lua: pauses the flows of an executor that is not in the registry, unless something reads
--   them, and resumes the others. A stage that an operator has paused stays as it is
-- KEYS 1 executors  executors
-- KEYS 2 workers  workers
-- KEYS 3 stages  stages
-- ARGV 1 executor  its id
-- ARGV 2 prefix  of all keys
-- ARGV 3+ queues  {queue}*  some of those that it owns
-- field queue  its name
-- reply changed  stages that were paused or resumed
local live = redis.call('ZSCORE', KEYS[1], ARGV[1])
local changed = 0

local function in_registry(executor) return executor and redis.call('ZSCORE', KEYS[1], executor) end

-- read_by_others tells whether a leaf of a root queue stays, or belongs to a live executor, or has a gather.
local function read_by_others(root)
  local leaves = redis.call('HGET', ARGV[2] .. 'm:' .. root, 'leaves') or root
  for leaf in string.gmatch(leaves, '%S+') do
    local meta = redis.call('HMGET', ARGV[2] .. 'm:' .. string.match(leaf, '^[^~]+'), 'owner', 'gatherer', 'consumer')
    if meta[1] == '' or in_registry(meta[1]) then return true end
    if meta[3] and string.find(meta[3], '^gather:') and in_registry(meta[2]) then return true end
  end
  return false
end

local function is_needed(queue, from)
  if live then return true end
  local root = true
  for path in string.gmatch(from, '"([^"~]+)[^"]*"') do -- a JSON list of names
    root = false
    if read_by_others(path) then return true end
  end
  return root and read_by_others(queue)
end

local mark = '{"paused":true,' -- the first field of the record of a stage that is paused
local operator = mark .. '"pause":' -- the first two, if an operator has paused it

local function set(queue)
  local meta = redis.call('HMGET', ARGV[2] .. 'm:' .. queue, 'from', 'consumer')
  local stage = string.match(meta[2] or '', '^stage:(.+)$')
  local record = stage and redis.call('HGET', KEYS[3], stage)
  if not record or string.sub(record, 1, #operator) == operator then return end
  local paused = string.sub(record, 1, #mark) == mark
  if is_needed(queue, meta[1]) ~= paused then return end
  local rest = string.sub(record, paused and #mark + 1 or 2)
  local new = (paused and '{' or mark) .. rest
  redis.call('HSET', KEYS[3], stage, new)
  changed = changed + 1
  tell_stage(ARGV[2], KEYS[2], KEYS[3], stage, {queue}, {record})
  follow(ARGV[2], queue, stage, new)
end

redis.call('ZREM', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
for i = 3, #ARGV do
  local done, failure = pcall(set, ARGV[i])
  local text = not done and tostring(type(failure) == 'table' and failure.err or failure)
  -- A stranger's key in the place of one queue holds up no other one.
  if text and not string.find(text, 'WRONGTYPE', 1, true) then return redis.error_reply(text) end
end
return changed
