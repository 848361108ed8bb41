-- ack.lua: deletes the entries that a gather has delivered, and moves its marks
-- KEYS 1 meta  m:<queue>
-- KEYS 2 stream  q:<queue>
-- KEYS 3 wait  wait:<queue>
-- KEYS 4 delivered  d:<queue>
-- KEYS 5+ more  {s:<source>, m:<root queue>}*, {f:<id>}*  for each source with a mark, then the
--   payloads of the entries
-- ARGV 1 reader  incarnation of the queue and epoch of the gather, with a space between
-- ARGV 2 number  of this acknowledgement in the epoch, from 1; one that arrives behind a later one
--   has no effect
-- ARGV 3 queue  its name
-- ARGV 4 prefix  of all keys
-- ARGV 5 keep  ms that the payloads live on; 0 deletes them
-- ARGV 6 ids  number of entries that are delivered whole
-- ARGV 7 sources  number of sources whose mark moved
-- ARGV 8+ more  {id}*, {name, source, root, mark, low, ended}*, {item}*  as many ids and sources as
--   declared, then items
-- field id  id of an entry in q:<queue>
-- field name  name of the source in this queue, with its branch
-- field source  name of the source without its branch
-- field root  root queue that the source feeds
-- field mark  the new delivered mark
-- field low  offset below which all is delivered
-- field ended  1 if the source has ended and is delivered here to its end, otherwise 0; of a child 2,
--   or 3 if it is delivered whole: its mark is deleted
-- field item  '<name> <offset>' of an item whose deliveries are forgotten, see nack.lua
-- reply status
-- word ok  done, or a later acknowledgement was first
-- word waited  as ok, and a producer or a worker waited for it
-- word gone  the queue is gone or is being deleted
-- word fenced  another gather has the queue
local meta = redis.call('HMGET', KEYS[1], 'gepoch', 'max', 'maxb', 'acks', 'inc', 'dying')
if not meta[1] or meta[6] then return 'gone' end
if (meta[5] or '') .. ' ' .. meta[1] ~= ARGV[1] then return 'fenced' end
if tonumber(meta[4] or 0) >= tonumber(ARGV[2]) then return 'ok' end

local ids, sources = tonumber(ARGV[6]), tonumber(ARGV[7])
if ids > 0 then
  redis.call('XACK', KEYS[2], 'w', unpack(ARGV, 8, 7 + ids))
  redis.call('XDEL', KEYS[2], unpack(ARGV, 8, 7 + ids))
else
  redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
end
local status = 'ok'
local payloads = 5 + 2 * sources
if #KEYS >= payloads and ARGV[5] == '0' then
  redis.call('UNLINK', unpack(KEYS, payloads))
else
  for i = payloads, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[5]) end
end
redis.call('HSET', KEYS[1], 'acks', ARGV[2])

-- lowest is the offset below which all leaves have delivered a source.
local function lowest(key, leaves)
  local low = math.huge
  for leaf in string.gmatch(leaves, '%S+') do
    low = math.min(low, tonumber(redis.call('HGET', key, 'g:' .. leaf) or 0) or math.huge)
  end
  return low
end

-- trim_gaps forgets the gaps of a source that are delivered, some in each call.
local function trim_gaps(key, name, low)
  local gaps = ARGV[4] .. 'gaps:' .. name
  for _ = 1, 100 do
    local from, to = first_gap(gaps)
    if not from or to > low then return end
    redis.call('ZREMRANGEBYRANK', gaps, 0, 0)
    redis.call('HINCRBY', key, 'dropped', from - to)
  end
end

-- trim_inputs forgets the inputs that a source keeps and that are delivered.
local function trim_inputs(name, low)
  redis.call('XTRIM', ARGV[4] .. 'in:' .. name, 'MINID', string.format('%.0f-0', math.min(low, 2 ^ 52) + 1))
end

-- wake tells all that wait until the window of a source moves.
local function wake(key, wait, held)
  status = 'waited'
  redis.call('HDEL', key, 'wait', 'held')
  for mailbox in string.gmatch((wait or '') .. ' ' .. (held or ''), '%S+') do tell(mailbox, 'room', ARGV[3]) end
end

local marks = {}
for i = 0, sources - 1 do
  local a, k = 8 + ids + 6 * i, 5 + 2 * i
  local here, name, root, low, ended = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 5]
  local source = redis.call('HMGET', KEYS[k], 'wait', 'dropped', 'held', 'epoch', 'end', 'keep')
  if ended == '3' then
    redis.call('HDEL', KEYS[4], here)
  elseif ended == '2' then
    if source[4] then marks[#marks + 1], marks[#marks + 2] = here, ARGV[a + 3] end
  elseif source[4] then -- a source that was forgotten gets no mark again
    local done = ended == '1' and tonumber(source[5]) >= 0 and tonumber(low) >= tonumber(source[5])
    marks[#marks + 1], marks[#marks + 2] = here, ARGV[a + 3]
    redis.call('HSET', KEYS[k], 'g:' .. ARGV[3] .. string.sub(here, #name + 1), done and 'end' or low)
    if source[1] or source[3] then wake(KEYS[k], source[1], source[3]) end
    if done or tonumber(source[2] or 0) > 0 or source[6] then
      local leaves = leaves_of(redis.call('HGET', KEYS[k + 1], 'leaves') or root, name)
      if done and forget_delivered(ARGV[4], root, leaves, name) then
        marks[#marks], marks[#marks - 1] = nil, nil
      else
        local low = lowest(KEYS[k], leaves)
        if source[2] then trim_gaps(KEYS[k], name, low) end
        if source[6] then trim_inputs(name, low) end
      end
    end
  end
end
local settled = 8 + ids + 6 * sources
if #ARGV >= settled then redis.call('HDEL', ARGV[4] .. 'nacked:' .. ARGV[3], unpack(ARGV, settled)) end
for i = 1, #marks, 1000 do redis.call('HSET', KEYS[4], unpack(marks, i, math.min(i + 999, #marks))) end
if redis.call('EXISTS', KEYS[3]) == 1 then
  local items, bytes = unread(KEYS[2], KEYS[1])
  if not is_full(items, bytes, tonumber(meta[2]), tonumber(meta[3])) then
    status = 'waited'
    tell_all(KEYS[3], 'room', ARGV[3])
  end
end
return status
