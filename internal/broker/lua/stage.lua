-- stage.lua: makes a stage the consumer of its in-queues and tells the workers
-- KEYS 1 stages  stages
-- KEYS 2 workers  workers
-- KEYS 3+ metas  {m:<in>}*, {m:<out>}*, {m:<gone out>}*, {m:<root queue>}*  of each in-queue, each
--   out-queue, each out-queue of the stage that makes way which the new stage does not share, and
--   the root queue of each path
-- ARGV 1 stage  its id
-- ARGV 2 record  JSON
-- ARGV 3 prefix  of all keys
-- ARGV 4 ins  number of in-queues
-- ARGV 5 outs  number of out-queues
-- ARGV 6 goes  number of out-queues that only the stage that makes way has
-- ARGV 7 old  record of this id that is replaced; empty: there is none
-- ARGV 8 away  id of another stage of the same in-queues that makes way; empty: none does
-- ARGV 9+ more  {in}*, {out}*, {gone}*, {number, branch, leaves}*  the names of the queues, then
--   for each path from a root queue to an in-queue
-- field in  name of an in-queue
-- field out  name of an out-queue with its branch
-- field gone  name of an out-queue that goes, with its branch
-- field number  of the in-queue, from 1
-- field branch  of the path at the in-queue
-- field leaves  that go, with spaces between
-- reply ['ok', gathered]
-- reply ['gone', queue, '']  the last element is an empty text
-- reply ['taken', queue, consumer]
-- reply ['exists', queue, record]
-- field gathered  1 if the stage is new and a gather has read an in-queue before:
--   requeue_foreign.lua follows
-- field queue  number of the queue among in-queues and out-queues, from 0
-- field consumer  stage:<id> or gather:<id>
-- field record  of the stage that is in the way
-- word ok  the stage is the consumer of its in-queues
-- word gone  the queue is gone or is being deleted
-- word taken  the in-queue has another consumer
-- word exists  a stage of another id reads the in-queue, or the record of this id is not old
local ins, outs, goes = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local this, away = 'stage:' .. ARGV[1], ARGV[8] ~= '' and 'stage:' .. ARGV[8]
for i = 1, ins + outs do
  local meta = redis.call('HMGET', KEYS[2 + i], 'inc', 'consumer', 'dying')
  if not meta[1] or meta[3] then return {'gone', i - 1, ''} end
  if i <= ins and meta[2] and meta[2] ~= this and meta[2] ~= away then
    local stage = string.match(meta[2], '^stage:(.+)$')
    local record = stage and redis.call('HGET', KEYS[1], stage)
    if record then return {'exists', i - 1, record} end
    return {'taken', i - 1, meta[2]}
  end
end
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old == ARGV[2] then return {'ok', 0} end
if old and old ~= ARGV[7] then return {'exists', 0, old} end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
for i = 1, ins do redis.call('HSET', KEYS[2 + i], 'consumer', this) end
local gathered = 0
for i = 1, ins do
  if not old and redis.call('HEXISTS', KEYS[2 + i], 'gepoch') == 1 then gathered = 1 end
end
local fresh = {} -- out-queues that the stage did not have before
for i = 1, outs do redis.call('HDEL', KEYS[2 + ins + i], 'replaced') end
for i = 1, outs do fresh[i] = redis.call('HSETNX', KEYS[2 + ins + i], 's:' .. ARGV[1], 1) == 1 end
for i = 1, outs + goes do redis.call('HDEL', KEYS[2 + ins + i], 's:' .. ARGV[8]) end
local gone = away and redis.call('HGET', KEYS[1], ARGV[8])
if away then
  redis.call('HDEL', KEYS[1], ARGV[8])
  drop_counts(ARGV[3], ARGV[8])
end

-- runs returns the function of a record.
local function runs(record) return string.match(record, '"fn"%s*:%s*"([^"]*)"') end
if old and runs(old) ~= runs(ARGV[2]) then drop_counts(ARGV[3], ARGV[1]) end

-- out returns the name of an out-queue and its branch.
local function out(i) return string.match(ARGV[8 + ins + i], '^([^~]+)(.*)$') end

-- move_marks gives the out-queues the watermarks of the readers of another queue.
local function move_marks(queue, suffix)
  local marks = redis.call('HGETALL', ARGV[3] .. 'd:' .. queue)
  for i = 1, #marks, 2 do
    for k = 1, outs do
      local name, branch = out(k)
      redis.call('HSET', ARGV[3] .. 'd:' .. name, string.sub(marks[i], 1, #marks[i] - #suffix) .. branch, marks[i + 1])
    end
  end
  if #marks > 0 then redis.call('DEL', ARGV[3] .. 'd:' .. queue) end
end

-- orphan_leaf notes that a leaf gets no items any more, and tells its gather.
local function orphan_leaf(queue)
  local meta = ARGV[3] .. 'm:' .. queue
  if redis.call('EXISTS', meta) == 0 then return end
  redis.call('HSET', meta, 'replaced', ARGV[1])
  local gather = string.match(redis.call('HGET', meta, 'consumer') or '', '^gather:(.+)$')
  if gather then tell(ARGV[3] .. 'p:' .. gather, 'end', queue) end
end

-- replace makes the out-queues leaves of a root queue, unless that is gone, instead of the in-queue and of leaves that go.
local function replace(meta, queue, path, gone)
  if redis.call('HEXISTS', meta, 'inc') == 0 then return end
  local leaf = queue .. path
  local leaves = redis.call('HGET', meta, 'leaves') or leaf
  local moved, list = has_leaf(leaves, leaf) or gone ~= '', {}
  for other in string.gmatch(leaves, '%S+') do
    if other ~= leaf and not has_leaf(gone, other) then list[#list + 1] = other end
  end
  for i = 1, outs do
    local name, branch = out(i)
    local new = name .. path .. branch
    if (moved or fresh[i]) and not has_leaf(table.concat(list, ' '), new) then list[#list + 1] = new end
  end
  if redis.call('EXISTS', meta) == 1 then redis.call('HSET', meta, 'leaves', table.concat(list, ' ')) end
  if moved then move_marks(queue, '') end
  for leaf in string.gmatch(gone, '[^%s~]+') do
    if not has_leaf(table.concat(list, ' '), leaf) then orphan_leaf(leaf) end
  end
end

for i = 9 + ins + outs + goes, #ARGV, 3 do
  replace(KEYS[2 + ins + outs + goes + (i - 6 - ins - outs - goes) / 3], ARGV[8 + tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
end
for i = outs + 1, outs + goes do move_marks(out(i)) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local queues = {}
for i = 1, ins do queues[i] = ARGV[8 + i] end
tell_stage(ARGV[3], KEYS[2], KEYS[1], ARGV[1], queues, {ARGV[2], old or nil})
if away then tell_stage(ARGV[3], KEYS[2], KEYS[1], ARGV[8], queues, {gone or nil}) end
for _, queue in ipairs(queues) do follow(ARGV[3], queue, ARGV[1], ARGV[2]) end
return {'ok', gathered}
