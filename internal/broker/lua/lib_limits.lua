-- limits_in returns the limits in the record of a stage, as the field limits of the meta of its in-queue
-- has them; nil: it has none. The interval is in microseconds: that of two calls at the rate.
local function limits_in(record)
  record = string.match(record, '"limits"%s*:%s*(%b{})')
  if not record then return nil end
  local function number(name) return tonumber(string.match(record, '"' .. name .. '"%s*:%s*(%d+)') or 0) end
  local most, rate, batch = number('most'), number('rate'), number('batch')
  if most + rate + batch == 0 then return nil end
  local interval = rate > 0 and number('per') / 1000 / rate or 0
  return string.format('%d %.6f %d %d %d', most, interval, number('burst'), batch, math.ceil(number('linger') / 1000000))
end

-- limits_of parses the field limits of a meta, which may be missing.
local function limits_of(text)
  local most, interval, burst, batch, linger = string.match(text or '', '^(%d+) (%S+) (%d+) (%d+) (%d+)$')
  if not most then return nil end
  return {
    most = tonumber(most), interval = tonumber(interval), burst = tonumber(burst), batch = tonumber(batch),
    linger = tonumber(linger),
  }
end

-- has_limits tells whether the stage that reads a queue has limits. ring is the field of the meta.
local function has_limits(ring) return ring and string.sub(ring, -7) == '\tlimits' end

-- pending_in returns the number of entries of a stream that workers hold.
local function pending_in(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return 0 end -- x: is made with its first entry
  for _, group in ipairs(groups) do
    for i = 1, #group, 2 do
      if group[i] == 'pending' then return group[i + 1] end
    end
  end
  return 0
end

-- calls_held returns the number of calls of a limited stage that workers hold: one for each entry. With
-- batches, a call has several entries. Then each worker has noted its number of calls, and holds no more
-- calls than entries. Notes of workers without entries go.
local function calls_held(prefix, queue, limits)
  if limits.batch == 0 then
    return pending_in(prefix .. 'q:' .. queue) + pending_in(prefix .. 'r:' .. queue) + pending_in(prefix .. 'x:' .. queue)
  end
  local entries, noted, total = {}, {}, 0
  for _, kind in ipairs({'q:', 'r:', 'x:'}) do
    local pending = redis.pcall('XPENDING', prefix .. kind .. queue, 'w')
    for _, row in ipairs(not pending.err and pending[4] or {}) do
      entries[row[1]] = (entries[row[1]] or 0) + tonumber(row[2])
    end
  end
  local notes = redis.call('HGETALL', prefix .. 'calls:' .. queue)
  for i = 1, #notes, 2 do
    if entries[notes[i]] then
      noted[notes[i]] = tonumber(notes[i + 1])
    else
      redis.call('HDEL', prefix .. 'calls:' .. queue, notes[i])
    end
  end
  for worker, n in pairs(entries) do total = total + math.min(n, noted[worker] or n) end
  return total
end

-- last_of returns the id of the last entry of a stream, - if it has none.
local function last_of(stream)
  local entry = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  return entry and entry[1] or '-'
end

-- is_held tells whether the limits of the stage hold a queue. The field held of its meta has the limit
-- that did, the time in ms until which it does, and for a batch the number of items added to the queue
-- with which that is full, and the last entry of r: that it has. A time that no limit can have is one of a
-- clock that has jumped.
local function is_held(prefix, queue, grace)
  local meta = redis.call('HMGET', prefix .. 'm:' .. queue, 'limits', 'held', 'items')
  local limits = limits_of(meta[1])
  local why, till, items, last = string.match(meta[2] or '', '^(%a+) (%d+) (%d+) (%S+)$')
  if not limits or not why then return false end
  if why == 'places' then return calls_held(prefix, queue, limits) >= limits.most end
  local left = tonumber(till) - now_ms()
  if why == 'rate' then return left > -grace and left <= limits.burst * limits.interval / 1000 + 1 end
  if left <= 0 or left > limits.linger or tonumber(meta[3] or 0) >= tonumber(items) then return false end
  return last == last_of(prefix .. 'r:' .. queue) and last_of(prefix .. 'x:' .. queue) == '-'
end

-- release lets workers read a limited queue, unless a limit holds it still, and tells those that wait at
-- queues. It returns whether the queue is not held. The field held stays for take.lua, see bucket_of.
local function release(prefix, queue, grace)
  if is_held(prefix, queue, grace) then return false end
  redis.call('ZREM', prefix .. 'due', queue .. ' limit')
  tell_all(prefix .. 'held:' .. queue, 'room', queue)
  return true
end

-- drop_limits forgets the limits of the stage of a queue.
local function drop_limits(prefix, queue)
  redis.call('HDEL', prefix .. 'm:' .. queue, 'limits', 'tat', 'held', 'turn')
  redis.call('ZREM', prefix .. 'due', queue .. ' limit')
  redis.call('DEL', prefix .. 'held:' .. queue, prefix .. 'calls:' .. queue)
end

-- set_limits gives the meta of the in-queue of a stage the limits of its record; record is nil if there is
-- no stage. old is the field limits of the meta.
local function set_limits(prefix, queue, record, old)
  local new = record and limits_in(record)
  if new == (old or nil) then return end
  if not new then return drop_limits(prefix, queue) end
  redis.call('HSET', prefix .. 'm:' .. queue, 'limits', new)
  redis.call('HDEL', prefix .. 'm:' .. queue, 'held')
end

-- peek returns the first entries of a stream that no worker has read.
local function peek(stream, count)
  if count <= 0 or redis.call('EXISTS', stream) == 0 or redis.call('XLEN', stream) == 0 then return {} end
  return redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', count)
end

-- is_cut tells whether a worker cuts an entry before it runs the items. most: of a call; 0: any.
local function is_cut(entry, most)
  local n = tonumber(field(entry, 'n')) or 0
  return most > 0 and n > most or n > 1 and (tonumber(field(entry, 'k')) or 0) >= 2
end

-- pays_for returns the calls that an entry pays for. One that is cut pays when its parts are read, and
-- failures are no calls.
local function pays_for(entry, most)
  if field(entry, 'e') or is_cut(entry, most) then return 0 end
  return tonumber(field(entry, 'i') or field(entry, 'n')) or 0
end

-- A bucket has the calls that the rate allows now: the theoretical arrival time of the generic cell rate
-- algorithm, in microseconds of Redis. It is never further ahead than a burst, so a clock that jumps back
-- holds nothing up. held is the field of the meta: a queue that should have been read two seconds ago
-- begins with no call allowed, since a clock may have jumped ahead. moved tells that the time has changed
-- and has to be stored.
local function bucket_of(limits, tat, held)
  local bucket = {now = now_ms() * 1000, interval = limits.interval, burst = limits.burst}
  bucket.full = bucket.now + limits.burst * limits.interval
  local last = tonumber(tat or 0)
  bucket.tat, bucket.moved = math.max(bucket.now, math.min(last, bucket.full)), last > bucket.full
  local till = string.match(held or '', '^rate (%d+)')
  if till and limits.interval <= 2000000 and bucket.now / 1000 > tonumber(till) + 2000 then
    bucket.tat, bucket.moved = bucket.full, true
  end
  return bucket
end

-- pay takes calls out of a bucket. It returns nil, or the time in ms at which they will be there. An entry
-- that is not cut, of the outputs of one item, may have more calls than a burst: it pays for a burst.
local function pay(bucket, calls)
  local tat = bucket.tat + math.min(calls, bucket.burst) * bucket.interval
  if tat > bucket.full + 0.5 then return math.ceil((tat - bucket.full + bucket.now) / 1000 - 0.001) end
  bucket.tat, bucket.moved = tat, bucket.moved or calls > 0
  return nil
end

-- admit returns how many entries of each of some streams may be read, one call for each, and what holds
-- the next one. places: calls that may begin in the fleet; most: items of a call.
local function admit(bucket, streams, places, budget, most)
  local counts = {0, 0, 0}
  for i, at in ipairs(streams) do
    for _, entry in ipairs(peek(at.stream, math.min(at.count, budget, places + 1))) do
      if places <= 0 then return counts, 'places', 0 end
      local till = pay(bucket, pays_for(entry, most))
      if till then return counts, 'rate', till end
      counts[i], places, budget = counts[i] + 1, places - 1, budget - 1
    end
  end
  return counts
end

-- runs_alone tells whether an entry shares its call with no other one.
local function runs_alone(entry)
  return field(entry, 'e') ~= nil or (tonumber(field(entry, 'a')) or 0) > 0 or (tonumber(field(entry, 'k')) or 0) > 0
end

-- gather_batch counts the entries of r: and of q: that are the next call, and their items. The last of them
-- may have more items than the call. ready tells that the call waits for no further entry, oldest is the
-- time in ms at which the first entry came, and alone an entry that shares its call with no other one.
local function gather_batch(streams, batch)
  local got = {counts = {0, 0, 0}, items = 0}
  for _, i in ipairs({1, 3}) do
    for _, entry in ipairs(peek(streams[i].stream, math.min(streams[i].count, 2048 - got.counts[1]))) do
      local n = tonumber(field(entry, 'i') or field(entry, 'n')) or 0
      local alone, first = runs_alone(entry), got.items == 0 and got.counts[1] + got.counts[3] == 0
      got.oldest = math.min(got.oldest or math.huge, tonumber(string.match(entry[1], '^%d+')))
      if first and (alone or n > batch) then
        got.counts[i], got.ready, got.alone = 1, true, entry
        return got
      end
      if alone then
        got.ready = true
        return got
      end
      got.counts[i], got.items = got.counts[i] + 1, got.items + n
      if got.items >= batch then
        got.ready = true
        return got
      end
    end
  end
  got.ready = got.counts[1] + got.counts[3] >= 2048
  return got
end

-- admit_batch returns how many entries of each stream may be read, which are one call, the number of items
-- to which a worker cuts a single one, and what holds the next call.
local function admit_batch(limits, bucket, streams, places)
  local suspect = peek(streams[2].stream, math.min(1, streams[2].count))[1]
  local got = suspect and {counts = {0, 1, 0}, ready = true, alone = suspect, oldest = 0} or gather_batch(streams, limits.batch)
  if not got.oldest then return got.counts, 0 end
  local none, now = {0, 0, 0}, math.floor(bucket.now / 1000)
  if got.alone and is_cut(got.alone, limits.batch) then return got.counts, limits.batch end
  if not got.ready and now >= got.oldest and now - got.oldest < limits.linger then
    return none, 0, 'batch', got.oldest + limits.linger, limits.batch - got.items
  end
  if places <= 0 then return none, 0, 'places', 0, 0 end
  local till = pay(bucket, got.alone and field(got.alone, 'e') and 0 or 1)
  if till then return none, 0, 'rate', till, 0 end
  return got.counts, 0
end
