-- take.lua: reads entries that a worker may run now, without waiting
-- KEYS 1+ routes  {r:<in>, q:<in>, m:<in>, wait:<in>, x:<in>, {q:<out>, m:<out>,
--   wait:<out>}*}*  for each route: its in-queue and each out-queue
-- ARGV 1 consumer  id of the worker
-- ARGV 2 budget  most entries over all routes
-- ARGV 3 mailbox  key of the mailbox to tell when a full out-queue has room
-- ARGV 4 suspects  most entries of x: over all routes
-- ARGV 5 prefix  of all keys
-- ARGV 6+ routes  {in, outs, most, calls}*  for each route
-- field in  name of its in-queue
-- field outs  number of its out-queues
-- field most  of a route with a rate: items of an entry that the worker runs; it cuts larger ones first,
--   which pay for no call. Otherwise 0
-- field calls  of a route with batches: calls that the worker holds; otherwise 0
-- reply [{[status, back, fresh, suspects, why, entries, left, wait, cut]}*]  one list for each route, in their
--   order
-- field back  list of entries of r:
-- field fresh  list of entries of q:
-- field suspects  list of entries of x:
-- field why  key wait:<out> of the full queue, or the text of the error; otherwise empty
-- field entries  number of entries in r: and q: of a route that is full; otherwise missing
-- field left  1 if the queue is ready for the workers that wait for rings, otherwise 0 or missing
-- field wait  ms until the worker asks again for a queue that is held; 0: it is told, or another worker is
-- field cut  of a route with batches: items of the first part into which the worker cuts the entries,
--   which it does not run; 0: the entries are one call
-- word ok  the route was read
-- word full  an out-queue has no room: no entry was read
-- word held  a limit of the stage holds further entries
-- word window  the next entry of q: is beyond the window of its source
-- word sick  a queue of the route is gone, or its key has another type
local budget, suspects = tonumber(ARGV[2]), tonumber(ARGV[4])
local replies = {}
local key = 1
local classes = redis.pcall('EXISTS', ARGV[5] .. 'classes')
local rings = classes == 1 -- some workers wait for rings

local function read(stream, count)
  if count <= 0 then return {} end
  local got = redis.call('XREADGROUP', 'GROUP', 'w', ARGV[1], 'COUNT', count, 'STREAMS', stream, '>')
  if not got then return {} end
  budget = budget - #got[1][2]
  return got[1][2]
end

local function suspected(stream, most)
  local count = math.min(most, suspects, budget)
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
local function within(stream, meta, ahead, leaves)
  if not ahead then return budget, false end
  local _, _, first = unread(stream, meta)
  if not first then
    redis.call('HDEL', meta, 'ahead')
    return budget, false
  end
  local ends = {}
  for i, entry in ipairs(redis.call('XRANGE', stream, first[1], '+', 'COUNT', math.max(budget, 1))) do
    local name = field(entry, 's') or ''
    if not ends[name] then
      local source, low = read_source(ARGV[5] .. 's:' .. name, leaves and leaves_of(leaves, name))
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

-- unread_left tells whether a stream may have more entries than the call has read of it.
local function unread_left(stream, asked, got)
  return not (asked > 0 and #got < asked) and has_unread(stream)
end

-- settle takes a queue without unread entries from the ready queues. Otherwise it puts the queue behind the
-- others and wakes the next worker: with each of them that finds something, one more.
local function settle(name, ring, left)
  if not ring then return end
  pcall(function()
    local classes, stage, ready = servers(ARGV[5], ring)
    if not classes then return end
    if not left then return redis.call('ZREM', ready, name) end
    enqueue(ARGV[5], ready, name)
    ring_one(ARGV[5], classes, name, stage)
  end)
end

-- await notes that the worker wants to know when a limited queue may be read: at a time, or by a hint. It
-- returns the ms until it asks again. A worker that waits for rings is told by one, unless it is the worker
-- that has found the queue held. If that worker dies, a call of requeue_due.lua rings for the queue.
local function await(name, meta, why, till, bucket, turn)
  local member = rings and redis.call('HEXISTS', ARGV[5] .. 'classes', 'm:' .. ARGV[1]) == 1
  if not member then redis.call('SADD', ARGV[5] .. 'held:' .. name, ARGV[3]) end
  if not why or why == 'places' then return 0 end
  if member then
    redis.call('ZADD', ARGV[5] .. 'due', till + 500, name .. ' limit')
  elseif why == 'rate' then -- each worker has a turn of its own
    local own = tonumber(turn or 0) + bucket.interval
    local last = till * 1000 + math.min(1000000, redis.call('SCARD', ARGV[5] .. 'held:' .. name) * bucket.interval)
    if own > till * 1000 and own < last then till = math.ceil(own / 1000) end
    redis.call('HSET', meta, 'turn', string.format('%d', till * 1000))
  end
  return math.max(1, math.ceil(till - bucket.now / 1000))
end

-- limited reads the entries of a route that the limits of its stage admit.
local function limited(base, state, name, most, calls)
  local meta, limits = KEYS[base + 2], state.limits
  local bucket = bucket_of(limits, state.tat, state.held)
  local slots = budget
  if limits.batch > 0 and budget > 0 then budget = 2048 end -- the entries are one call
  local count, beyond = within(KEYS[base + 1], meta, state.ahead, state.leaves)
  local streams = {
    {stream = KEYS[base], count = budget}, {stream = KEYS[base + 4], count = math.min(suspects, budget)},
    {stream = KEYS[base + 1], count = count},
  }
  if limits.most > 0 and limits.batch > 0 then redis.call('HSET', ARGV[5] .. 'calls:' .. name, ARGV[1], calls) end
  local places = limits.most > 0 and limits.most - calls_held(ARGV[5], name, limits) or math.huge
  if limits.interval > 0 and (most == 0 or most > limits.burst) then most = limits.burst end
  local counts, cut, why, till, missing
  if budget <= 0 then
    counts, cut = {0, 0, 0}, 0
  elseif limits.batch > 0 then
    counts, cut, why, till, missing = admit_batch(limits, bucket, streams, places)
  else
    counts, why, till = admit(bucket, streams, places, budget, most)
    cut = 0
  end
  local back, suspect, fresh = read(KEYS[base], counts[1]), suspected(KEYS[base + 4], counts[2]), read(KEYS[base + 1], counts[3])
  local got = #back + #suspect + #fresh
  if limits.batch > 0 then budget = got > 0 and slots - 1 or slots end
  if limits.most > 0 and limits.batch > 0 and got > 0 then redis.call('HSET', ARGV[5] .. 'calls:' .. name, ARGV[1], calls + 1) end
  if bucket.moved then redis.call('HSET', meta, 'tat', string.format('%.3f', bucket.tat)) end
  if why then
    local full_at = missing and missing > 0 and tonumber(redis.call('HGET', meta, 'items') or 0) + missing or 0
    redis.call('HSET', meta, 'held', string.format('%s %d %d %s', why, till, full_at, why == 'batch' and last_of(KEYS[base]) or '-'))
  elseif state.held then
    redis.call('HDEL', meta, 'held')
    redis.call('ZREM', ARGV[5] .. 'due', name .. ' limit')
  end
  local left = not why and (has_unread(KEYS[base]) or has_unread(KEYS[base + 4]) or not beyond and has_unread(KEYS[base + 1]))
  local wait = not left and await(name, meta, why, till, bucket, state.turn) or 0
  return {why and 'held' or beyond and 'window' or 'ok', back, fresh, suspect, '', false, left and 1 or 0, wait, cut}
end

-- free reads the entries of a route without limits.
local function free(base, state)
  local wanted = budget
  local back = read(KEYS[base], budget)
  local suspect = suspected(KEYS[base + 4], suspects)
  local count, beyond = within(KEYS[base + 1], KEYS[base + 2], state.ahead, state.leaves)
  count = math.min(budget, count)
  local fresh = read(KEYS[base + 1], count)
  local left = state.ring and (not beyond and unread_left(KEYS[base + 1], count, fresh) or unread_left(KEYS[base], wanted, back) or
    has_unread(KEYS[base + 4]))
  return {beyond and 'window' or 'ok', back, fresh, suspect, '', false, left and 1 or 0}
end

local function route(base, name, outs, most, calls)
  local meta = redis.call('HMGET', KEYS[base + 2], 'ahead', 'leaves', 'ring', 'limits', 'tat', 'held', 'turn')
  local state = {
    ahead = meta[1], leaves = meta[2], ring = rings and meta[3], limits = limits_of(meta[4]), tat = meta[5], held = meta[6],
    turn = meta[7],
  }
  for i = base + 5, base + 5 + 3 * (outs - 1), 3 do
    if full(KEYS[i], KEYS[i + 1]) then
      redis.call('SADD', KEYS[i + 2], ARGV[3])
      room(base, name)
      settle(name, state.ring, false) -- the hint room brings it back
      return {'full', {}, {}, {}, KEYS[i + 2], redis.call('XLEN', KEYS[base]) + redis.call('XLEN', KEYS[base + 1])}
    end
  end
  local reply = (state.limits and limited or free)(base, state, name, most, calls)
  room(base, name)
  settle(name, state.ring, reply[7] == 1)
  return reply
end

redis.call('HDEL', KEYS[3], '') -- a script that has begun to delete may add, also where the memory is full
for i = 6, #ARGV, 4 do
  local outs = tonumber(ARGV[i + 1])
  local done, reply = pcall(route, key, ARGV[i], outs, tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]))
  if not done then reply = {'sick', {}, {}, {}, tostring(type(reply) == 'table' and reply.err or reply)} end
  replies[#replies + 1] = reply
  key = key + 5 + 3 * outs
end
return replies
