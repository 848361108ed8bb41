-- ack.lua: takes from a gathered queue what was delivered, and moves the marks
-- KEYS 1 meta      m:<queue>
-- KEYS 2 stream    q:<queue>
-- KEYS 3 wait      wait:<queue>
-- KEYS 4+ source   for each source with a mark: s:<source>, src:<root queue>; then payload keys to delete
-- ARGV 1 reader    the queue's incarnation and the epoch of the gather, with a space between
-- ARGV 2 number    of this acknowledgement in the epoch; one that comes behind a later one changes nothing
-- ARGV 3 queue     its name
-- ARGV 4 ids       number of entries delivered whole
-- ARGV 5 sources   number of sources whose mark moved
-- ARGV 6+ entry    the ids; then for each source: name in this queue, root name, mark, offset below which all is delivered, 1 to forget the source
-- reply: 'ok'|'waited' (ok, and somebody waited for it)|'gone'|'fenced'
local meta = redis.call('HMGET', KEYS[1], 'gepoch', 'max', 'maxb', 'acks', 'inc')
if not meta[1] then return 'gone' end
if (meta[5] or '') .. ' ' .. meta[1] ~= ARGV[1] then return 'fenced' end
if tonumber(meta[4] or 0) >= tonumber(ARGV[2]) then return 'ok' end

-- above returns the gaps that do not end below an offset.
local function above(gaps, low)
  local list = {}
  for gap, to in string.gmatch(gaps, '(%d+%-(%d+))') do
    if tonumber(to) > low then list[#list + 1] = gap end
  end
  return table.concat(list, ',')
end

local ids, sources = tonumber(ARGV[4]), tonumber(ARGV[5])
if ids > 0 then
  redis.call('XACK', KEYS[2], 'w', unpack(ARGV, 6, 5 + ids))
  redis.call('XDEL', KEYS[2], unpack(ARGV, 6, 5 + ids))
else
  redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
end
local status = 'ok'
if #KEYS >= 4 + 2 * sources then redis.call('UNLINK', unpack(KEYS, 4 + 2 * sources)) end
local marks = {'acks', ARGV[2]}
for a = 6 + ids, 6 + ids + 5 * (sources - 1), 5 do
  if ARGV[a + 4] ~= '1' then marks[#marks + 1], marks[#marks + 2] = 'd:' .. ARGV[a], ARGV[a + 2] end
end
for i = 1, #marks, 1000 do redis.call('HSET', KEYS[1], unpack(marks, i, math.min(i + 999, #marks))) end
for i = 0, sources - 1 do
  local a, k = 6 + ids + 5 * i, 4 + 2 * i
  if ARGV[a + 4] == '1' then
    redis.call('DEL', KEYS[k])
    redis.call('SREM', KEYS[k + 1], ARGV[a + 1])
    redis.call('HDEL', KEYS[1], 'd:' .. ARGV[a])
  else
    local waiting = redis.call('HMGET', KEYS[k], 'wait', 'gaps', 'held', 'epoch')
    if waiting[4] then
      redis.call('HSET', KEYS[k], 'g:' .. ARGV[3], ARGV[a + 3])
      if waiting[1] then
        status = 'waited'
        redis.call('HDEL', KEYS[k], 'wait')
        tell(waiting[1], 'room', ARGV[3])
      end
      if waiting[3] then
        status = 'waited'
        redis.call('HDEL', KEYS[k], 'held')
        for mailbox in string.gmatch(waiting[3], '%S+') do tell(mailbox, 'room', ARGV[3]) end
      end
      if waiting[2] and ARGV[a] == ARGV[a + 1] then -- no other branch needs them
        redis.call('HSET', KEYS[k], 'gaps', above(waiting[2], tonumber(ARGV[a + 3])))
      end
    end
  end
end
if redis.call('EXISTS', KEYS[3]) == 1 then
  local items, bytes = unread(KEYS[2], KEYS[1])
  if not is_full(items, bytes, tonumber(meta[2]), tonumber(meta[3])) then
    status = 'waited'
    tell_all(KEYS[3], 'room', ARGV[3])
  end
end
return status
