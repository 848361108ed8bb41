-- look.lua: describes queues, and counts the items in each place of them; reads only
-- KEYS 1+ queues  {m:<queue>, q:<queue>, r:<queue>, x:<queue>, l:<queue>, src:<queue>}*  for each
--   queue
-- ARGV 1 most  entries that are read to count their items, in all of these queues; each entry
--   beyond that counts as one item
-- ARGV 2 prefix  of the keys of sources, the prefix of all keys and s:
-- reply [[status, [{field, value}*], items, bytes, running, requeued, suspects, delayed, entries,
--   least, oldest, scattered, sources, open]*]  for each queue, in their order; a queue that is gone has its
--   status alone, and one that is broken the text of the error behind it
-- field status  one of the words
-- field field  name of a field of the meta
-- field value  of that field
-- field items  items in q: that no consumer has read
-- field bytes  bytes of these
-- field running  items that were read and are not finished
-- field requeued  items in r: that no consumer has read
-- field suspects  items in x: that no consumer has read
-- field delayed  items in l:
-- field entries  entries that were read and are not finished
-- field least  1: entries beyond the most count as one item, so there may be more items; 0: no
-- field oldest  time in ms at which the oldest entry that no consumer has read came into its
--   stream, 0: there is none
-- field scattered  earliest time in ms at which one of the entries was scattered that are to be read
--   next from their streams, 0: there is none
-- field sources  number of sources of the queue
-- field open  those among the first hundred that have not ended
-- word ok  the queue is there
-- word gone  the queue is gone or is being deleted
-- word broken  a key of the queue has another type, or a stream has lost its group
local left = tonumber(ARGV[1])
local fields = {}
for name in string.gmatch('v inc codec type max maxb owner sealed from flow consumer gatherer items bytes fused leftout dropped cost dying expires', '%S+') do
  fields[#fields + 1] = name
end

-- count returns the items of the entries of a stream between two ids, and whether it has read all of
-- these entries. There are at least so many.
local function count(stream, from, to, entries)
  local items, seen = 0, 0
  for _, entry in ipairs(redis.call('XRANGE', stream, from, to, 'COUNT', left + 1)) do
    if left == 0 then return items + math.max(1, entries - seen), false end
    items, seen, left = items + (tonumber(field(entry, 'i') or field(entry, 'n')) or 1), seen + 1, left - 1
  end
  return items, true
end

-- ages returns the time at which the first entry of a stream from an id on came there, and the time
-- at which it was scattered.
local function ages(stream, from)
  local first = redis.call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
  if not first then return math.huge, math.huge end
  return tonumber(string.match(first[1], '^%d+')), tonumber(string.match(stamp_of(first), '^%d+')) or math.huge
end

-- look describes the queue whose keys begin with KEYS[k].
local function look(k)
  local meta, stream, returns, suspects, delayed, sources =
    KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4], KEYS[k + 5]
  local values, about, dying = redis.call('HMGET', meta, unpack(fields)), {}, false
  for i, name in ipairs(fields) do
    if values[i] then about[#about + 1], about[#about + 2] = name, values[i] end
    dying = dying or (name == 'dying' and values[i])
  end
  local stored = redis.call('XLEN', stream)
  if #about == 0 or dying or stored == 0 and redis.call('EXISTS', stream) == 0 then return {'gone'} end
  local items, bytes = 0, 0
  if stored > 0 then items, bytes = unread(stream, meta) end
  local running, entries, requeued, all, oldest, scattered = 0, 0, {}, true, math.huge, math.huge

  -- tally_up counts the items of a range of one of the streams.
  local function tally_up(s, from, to, entries)
    local n, whole = count(s, from, to, entries)
    all = all and whole
    return n
  end

  -- grow_old takes the first entry of a stream from an id on into account.
  local function grow_old(s, from)
    local came, begun = ages(s, from)
    oldest, scattered = math.min(oldest, came), math.min(scattered, begun)
  end

  -- take_up takes a stream with so many entries into account. Most are empty: of these it only makes
  -- sure that they have their group, if they are there.
  local function take_up(s, n)
    if n == 0 and redis.call('EXISTS', s) == 0 then return end
    local held = redis.call('XPENDING', s, 'w')[1]
    entries = entries + held
    if n == 0 then return end
    local last = delivered(s)
    -- An entry that was delivered and is pending with no consumer counts as running, until an audit finds it.
    running = running + tally_up(s, '-', last, held)
    if s ~= stream then requeued[s] = tally_up(s, '(' .. last, '+', n - held) end
    grow_old(s, '(' .. last)
  end

  take_up(stream, stored)
  for _, s in ipairs({returns, suspects}) do take_up(s, redis.call('XLEN', s)) end
  local waiting, later = redis.call('XLEN', delayed), 0
  if waiting > 0 then
    later = tally_up(delayed, '-', '+', waiting)
    grow_old(delayed, '-')
  end
  local open = 0
  for _, name in ipairs(redis.call('ZRANGE', sources, 0, 99)) do
    if tonumber(redis.call('HGET', ARGV[2] .. name, 'end') or -1) < 0 then open = open + 1 end
  end
  return {'ok', about, items, bytes, running, requeued[returns] or 0, requeued[suspects] or 0, later, entries,
    all and 0 or 1, oldest < math.huge and oldest or 0, scattered < math.huge and scattered or 0, redis.call('ZCARD', sources), open}
end

local reply = {}
for k = 1, #KEYS, 6 do
  local found, queue = pcall(look, k)
  if not found then queue = {'broken', type(queue) == 'table' and queue.err or tostring(queue)} end
  reply[#reply + 1] = queue
end
return reply
