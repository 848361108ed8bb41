-- unstage.lua: removes a stage, whose in-queues have no consumer then, or takes out-queues from it
-- KEYS 1 stages  stages
-- KEYS 2 workers  workers
-- KEYS 3+ metas  {m:<in>}*, {m:<gone out>}*, {m:<root queue>}*  of each in-queue, each out-queue
--   that goes, and the root queue of each path
-- ARGV 1 stage  its id
-- ARGV 2 record  JSON, as it was read
-- ARGV 3 left  JSON of the stage with the out-queues that stay; empty removes it
-- ARGV 4 prefix  of all keys
-- ARGV 5 ins  number of in-queues
-- ARGV 6 outs  number of out-queues that go
-- ARGV 7+ more  {in}*, {out}*, {number, branch, leaves}*  the names of the queues, then for each
--   path from a root queue to an in-queue
-- field in  name of an in-queue
-- field out  name of an out-queue that goes, with its branch
-- field number  of the in-queue, from 1
-- field branch  of the path at the in-queue
-- field leaves  that go, with spaces between
-- reply 1  done
-- reply 0  the stage has changed since it was read
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found and found ~= ARGV[2] then return 0 end
local ins, outs = tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full

-- lower tells whether a mark is below another one, which may be missing.
local function lower(mark, other)
  return not other or tonumber(string.match(mark, '^%d+') or 0) < tonumber(string.match(other, '^%d+') or 0)
end

-- move_marks leaves with the in-queue the watermarks of its readers for the sources of a root queue: the next
-- reader goes on behind that.
local function move_marks(root, queue, path)
  for k = 1, outs do
    local out, branch = string.match(ARGV[6 + ins + k], '^([^~]+)(.*)$')
    local marks = redis.call('HGETALL', ARGV[4] .. 'd:' .. out)
    for i = 1, #marks, 2 do
      local name = string.sub(marks[i], 1, #marks[i] - #branch)
      local source = string.sub(name, 1, #name - #path)
      if source .. path .. branch == marks[i] and redis.call('ZSCORE', ARGV[4] .. 'src:' .. root, source) and
        lower(marks[i + 1], redis.call('HGET', ARGV[4] .. 'd:' .. queue, name)) then
        redis.call('HSET', ARGV[4] .. 'd:' .. queue, name, marks[i + 1])
      end
    end
  end
end

-- detach takes leaves from a root queue, unless that is gone. Without the stage, its in-queue is one, if it is there.
local function detach(meta, queue, path, gone)
  if redis.call('HEXISTS', meta, 'inc') == 0 then return end
  local list = {}
  for leaf in string.gmatch(redis.call('HGET', meta, 'leaves') or '', '%S+') do
    if not has_leaf(gone, leaf) and leaf ~= queue .. path then list[#list + 1] = leaf end
  end
  if ARGV[3] == '' and redis.call('HEXISTS', ARGV[4] .. 'm:' .. queue, 'inc') == 1 then
    list[#list + 1] = queue .. path
    move_marks(string.sub(meta, #ARGV[4] + 3), queue, path)
  end
  redis.call('HSET', meta, 'leaves', table.concat(list, ' '))
end

local queues, gone = {}, {}
for i = 1, ins do queues[i] = ARGV[6 + i] end
for i = 1, outs do gone[i] = string.match(ARGV[6 + ins + i], '^[^~]+') end
if found and ARGV[3] == '' and ins > 0 then note_stage(ARGV[4], ARGV[1], found, queues, gone) end
for i = 7 + ins + outs, #ARGV, 3 do
  detach(KEYS[2 + ins + outs + (i - 4 - ins - outs) / 3], ARGV[6 + tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
end
for i = 3, 2 + ins + outs do
  if ARGV[3] == '' and redis.call('HGET', KEYS[i], 'consumer') == 'stage:' .. ARGV[1] then redis.call('HDEL', KEYS[i], 'consumer') end
  if i > 2 + ins then redis.call('HDEL', KEYS[i], 's:' .. ARGV[1]) end
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  drop_counts(ARGV[4], ARGV[1])
elseif found then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
tell_stage(ARGV[4], KEYS[2], KEYS[1], ARGV[1], queues, {found or nil})
for i, queue in ipairs(queues) do
  if string.match(redis.call('HGET', KEYS[2 + i], 'ring') or '', '^%d+ (%S+)') == ARGV[1] then
    follow(ARGV[4], queue, ARGV[1], found and ARGV[3] ~= '' and ARGV[3] or nil)
  end
end
return 1
