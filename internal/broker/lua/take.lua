-- take.lua: reads entries that a worker may run now, without waiting
-- KEYS 1+ routes  {r:<in>, q:<in>, m:<in>, wait:<in>, x:<in>, {q:<out>, m:<out>,
--   wait:<out>}*}*  for each route: its in-queue and each out-queue
-- ARGV 1 consumer  id of the worker
-- ARGV 2 budget  most entries over all routes
-- ARGV 3 mailbox  key of the mailbox to tell when a full out-queue has room
-- ARGV 4 suspects  most entries of x: over all routes
-- ARGV 5 prefix  of all keys
-- ARGV 6+ routes  {in, outs}*  for each route
-- field in  name of its in-queue
-- field outs  number of its out-queues
-- reply [{[status, back, fresh, suspects, why, entries]}*]  one list for each route, in their order
-- field back  list of entries of r:
-- field fresh  list of entries of q:
-- field suspects  list of entries of x:
-- field why  key wait:<out> of the full queue, or the text of the error; otherwise empty
-- field entries  number of entries in r: and q: of a route that is full; otherwise missing
-- word ok  the route was read
-- word full  an out-queue has no room: no entry was read
-- word window  the next entry of q: is beyond the window of its source
-- word sick  a queue of the route is gone, or its key has another type
local budget, suspects = tonumber(ARGV[2]), tonumber(ARGV[4])
local replies = {}
local key = 1

local function read(stream, count)
  if count <= 0 then return {} end
  local got = redis.call('XREADGROUP', 'GROUP', 'w', ARGV[1], 'COUNT', count, 'STREAMS', stream, '>')
  if not got then return {} end
  budget = budget - #got[1][2]
  return got[1][2]
end

local function suspected(stream)
  local count = math.min(suspects, budget)
  if count <= 0 or redis.call('EXISTS', stream) == 0 then return {} end
  local got = read(stream, count)
  suspects = suspects - #got
  return got
end

local function full(stream, meta)
  local bound = redis.call('HMGET', meta, 'max', 'maxb')
  local max, max_bytes = tonumber(bound[1] or 0), tonumber(bound[2] or 0)
  if max == 0 and max_bytes == 0 then return false end
  local items, bytes = unread(stream, meta)
  return is_full(items, bytes, max, max_bytes)
end

-- room tells the mailboxes that wait for room in the in-queue. A blocked read makes room too
-- and cannot tell, so the queue is looked at also if no entry is taken now.
local function room(base, name)
  if redis.call('EXISTS', KEYS[base + 3]) == 1 and not full(KEYS[base + 1], KEYS[base + 2]) then
    tell_all(KEYS[base + 3], 'room', name)
  end
end

-- within returns how many entries of the in-queue may be read now, and whether
-- the next one is beyond the window of its source: an ordered gather has to
-- hold entries that were read early.
local function within(stream, meta)
  local root = redis.call('HMGET', meta, 'ahead', 'leaves')
  if not root[1] then return budget, false end
  local _, _, first = unread(stream, meta)
  if not first then
    redis.call('HDEL', meta, 'ahead')
    return budget, false
  end
  local ends = {}
  for i, entry in ipairs(redis.call('XRANGE', stream, first[1], '+', 'COUNT', math.max(budget, 1))) do
    local name = field(entry, 's') or ''
    if not ends[name] then
      local source, low = read_source(ARGV[5] .. 's:' .. name, root[2])
      ends[name] = low and source.window and window_end(source, ARGV[5] .. 'gaps:' .. name, low, tonumber(source.window)) or math.huge
    end
    if (tonumber(field(entry, 'o')) or 0) >= ends[name] then
      local key = ARGV[5] .. 's:' .. name
      local held = redis.call('HGET', key, 'held') or ''
      if not string.find(held, ARGV[3], 1, true) then redis.call('HSET', key, 'held', held .. ' ' .. ARGV[3]) end
      return i - 1, i == 1
    end
  end
  return budget, false
end

local function route(base, name, outs)
  for i = base + 5, base + 5 + 3 * (outs - 1), 3 do
    if full(KEYS[i], KEYS[i + 1]) then
      redis.call('SADD', KEYS[i + 2], ARGV[3])
      room(base, name)
      return {'full', {}, {}, {}, KEYS[i + 2], redis.call('XLEN', KEYS[base]) + redis.call('XLEN', KEYS[base + 1])}
    end
  end
  local back = read(KEYS[base], budget)
  local suspect = suspected(KEYS[base + 4])
  local count, beyond = within(KEYS[base + 1], KEYS[base + 2])
  local fresh = read(KEYS[base + 1], math.min(budget, count))
  room(base, name)
  return {beyond and 'window' or 'ok', back, fresh, suspect, ''}
end

redis.call('HDEL', KEYS[3], '') -- a script that has begun to delete may add, also where the memory is full
for i = 6, #ARGV, 2 do
  local outs = tonumber(ARGV[i + 1])
  local done, reply = pcall(route, key, ARGV[i], outs)
  if not done then reply = {'sick', {}, {}, {}, tostring(type(reply) == 'table' and reply.err or reply)} end
  replies[#replies + 1] = reply
  key = key + 5 + 3 * outs
end
return replies
