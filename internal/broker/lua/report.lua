-- report.lua: adds the counts of a process to those of its stages, once for each report
-- KEYS 1 card  w:<id>
-- KEYS 2 stages  stages
-- KEYS 3 watched  watched
-- KEYS 4 runs  runs
-- KEYS 5+ counts  {q:<in>, m:<in>, t:<stage>, h:<stage>, err:<stage>}*  for each stage: its in-queue
--   and the keys of its counts
-- ARGV 1 number  of the report; the first one of a process is 1
-- ARGV 2 most  error groups of a stage
-- ARGV 3+ stages  {stage, seq, fn, n, failed, busy, full, totals, groups, {field, value}*, {group,
--   count, sample}*}*  for each stage: nine arguments, then two for each total, three for each group
-- field stage  its id
-- field seq  of its record, as the process has read it
-- field fn  its function; empty: none
-- field n  items that it has finished
-- field failed  failures among these
-- field busy  ms that slots worked on it
-- field full  ms in which it had entries and no room for their results
-- field totals  number of totals
-- field groups  number of error groups
-- field field  of t:<stage>
-- field value  that is added to the field
-- field group  key of an error group
-- field count  failures that are added to the group
-- field sample  JSON of a recent one of these
-- reply ['ok', watched]
-- reply ['again', watched]
-- reply ['fenced', 0]
-- field watched  1 if the key watched exists, otherwise 0
-- word ok  the counts are added
-- word again  they were added before
-- word fenced  the process has no card: it was declared dead, or has left
if redis.call('EXISTS', KEYS[1]) == 0 then return {'fenced', 0} end
local watched = redis.call('EXISTS', KEYS[3])
if (tonumber(redis.call('HGET', KEYS[1], 'report')) or 0) >= tonumber(ARGV[1]) then return {'again', watched} end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[1], 'report', ARGV[1]) -- before the counts, which are never added twice
local ms = now_ms()

-- read returns the counts of a stage, whose keys come behind KEYS[k] and whose arguments come
-- behind ARGV[a], and the k and a of the next stage.
local function read(k, a)
  local e = {
    stream = KEYS[k + 1], meta = KEYS[k + 2], totals = KEYS[k + 3], history = KEYS[k + 4], errors = KEYS[k + 5],
    stage = ARGV[a + 1], seq = ARGV[a + 2], fn = ARGV[a + 3],
    n = tonumber(ARGV[a + 4]), failed = tonumber(ARGV[a + 5]), busy = tonumber(ARGV[a + 6]), full = tonumber(ARGV[a + 7]),
    added = {}, groups = {},
  }
  local totals, groups = tonumber(ARGV[a + 8]), tonumber(ARGV[a + 9])
  a = a + 9
  for i = 1, totals do
    e.added[i] = {field = ARGV[a + 1], value = ARGV[a + 2]}
    a = a + 2
  end
  for i = 1, groups do
    e.groups[i] = {key = ARGV[a + 1], count = tonumber(ARGV[a + 2]), sample = ARGV[a + 3]}
    a = a + 3
  end
  return e, k + 5, a
end

-- exists tells whether the record is still that of the same stage, maybe with other options, and
-- whether the stage has gone. Neither holds if it runs another function now.
local function exists(e)
  local record = redis.call('HGET', KEYS[2], e.stage)
  if not record or string.match(record, '"seq"%s*:%s*(%d+)') ~= e.seq then return false, true end
  return (string.match(record, '"fn"%s*:%s*"([^"]*)"') or '') == e.fn, false
end

-- count_late keeps the counts of a stage that has gone.
local function count_late(e)
  if e.n == 0 and #e.groups == 0 then return end
  local times = {}
  for _, total in ipairs(e.added) do
    local bucket = string.match(total.field, '^b(%-?%d+)$')
    if bucket then times[#times + 1] = bucket .. ' ' .. total.value end
  end
  note_run(KEYS[4], e.stage, e.seq, e.n, e.failed, times, e.groups)
end

-- look returns the number of items that wait in the in-queue, the age of the oldest in ms, and the
-- items that came to the stage so far: through the queue, and beside it.
local function look(e)
  local done, items, _, first = pcall(function() return unread(e.stream, e.meta) end)
  if not done then return {0, 0, 0, 0} end
  local age = first and math.max(0, ms - tonumber(string.match(first[1], '^%d+'))) or 0
  local so_far = redis.call('HMGET', e.meta, 'items', 'fused')
  return {first and items or 0, age, tonumber(so_far[1]) or 0, tonumber(so_far[2]) or 0}
end

-- remember adds to a slot of the ring. The first report of the slot looks at the in-queue.
local function remember(e, field, slot)
  local old = {}
  for number in string.gmatch(redis.call('HGET', e.history, field) or '', '%S+') do old[#old + 1] = tonumber(number) end
  if old[1] ~= slot or #old ~= 9 then
    e.look = e.look or look(e)
    old = {slot, 0, 0, 0, e.look[1], e.look[2], 0, e.look[3], e.look[4]}
  end
  redis.call('HSET', e.history, field, string.format('%d %d %d %d %d %d %d %d %d', slot, old[2] + e.n, old[3] + e.failed,
    old[4] + e.busy, old[5], old[6], old[7] + e.full, old[8], old[9]))
end

-- forget_oldest deletes the error group that has not occurred for the longest time.
local function forget_oldest(e)
  local oldest, last = nil, math.huge
  local all = redis.call('HGETALL', e.errors)
  for i = 1, #all, 2 do
    local seen = tonumber(string.match(all[i + 1], '^%d+ %d+ (%d+) ')) or 0
    if seen < last then oldest, last = all[i], seen end
  end
  redis.call('HDEL', e.errors, oldest)
  redis.call('HINCRBY', e.totals, 'groupsgone', 1)
end

-- note adds to an error group.
local function note(e, group)
  local old = redis.call('HGET', e.errors, group.key)
  local count, first = string.match(old or '', '^(%d+) (%d+) ')
  if not old and redis.call('HLEN', e.errors) >= tonumber(ARGV[2]) then forget_oldest(e) end
  redis.call('HSET', e.errors, group.key, string.format('%d %d %d ', (tonumber(count) or 0) + group.count,
    tonumber(first) or ms, ms) .. group.sample)
end

local function count(e)
  local there, gone = exists(e)
  if gone then count_late(e) end
  if not there then return end
  for _, total in ipairs(e.added) do redis.call('HINCRBY', e.totals, total.field, total.value) end
  redis.call('HSET', e.totals, 'last', string.format('%d', ms))
  remember(e, 's' .. math.floor(ms / 10000) % 60, math.floor(ms / 10000))
  remember(e, 'm' .. math.floor(ms / 60000) % 60, math.floor(ms / 60000))
  for _, group in ipairs(e.groups) do note(e, group) end
end

local k, a = 4, 2
while a < #ARGV do
  local e
  e, k, a = read(k, a)
  local done, failure = pcall(count, e)
  local text = not done and tostring(type(failure) == 'table' and failure.err or failure)
  -- A stranger's key in the place of the counts of one stage does not affect other stages.
  if text and not string.find(text, 'WRONGTYPE', 1, true) then return redis.error_reply(text) end
end
return {'ok', watched}
