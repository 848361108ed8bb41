-- drop_waiting.lua: puts a failure into the place of some items that wait in a queue, for the reader
--   of its out-queues
-- KEYS 1 meta  m:<in>
-- KEYS 2 stream  q:<in>
-- KEYS 3 returns  r:<in>
-- KEYS 4 suspects  x:<in>
-- KEYS 5 delayed  l:<in>
-- KEYS 6 due  due
-- KEYS 7 wait  wait:<in>
-- KEYS 8+ outs  {q:<out>, m:<out>}*  those of the stage that reads the queue; the queue itself if none does
-- ARGV 1 queue  its name
-- ARGV 2 inc  its incarnation
-- ARGV 3 count  most entries that are dropped
-- ARGV 4 bound  last entry of q:<in> that is dropped; empty: the last one that is there now
-- ARGV 5 why  JSON of the failure
-- ARGV 6 payloads  prefix of payload keys
-- ARGV 7+ outs  {out_inc, branch}*  for each out
-- field out_inc  its incarnation
-- field branch  suffix of the names of its sources
-- reply ['ok', entries, items, last]
-- reply ['gone']
-- field entries  that were dropped; 0: none is left
-- field items  in them
-- field last  bound of the next call
-- word ok  some entries were dropped, if there were any
-- word gone  the queue or an out-queue is gone, is being deleted, or has another incarnation
local left, items, outs = tonumber(ARGV[3]), 0, {}

local function there(meta, inc)
  local found = redis.call('HMGET', meta, 'inc', 'dying')
  return found[1] == inc and not found[2]
end

if not there(KEYS[1], ARGV[2]) then return {'gone'} end
for i = 8, #KEYS, 2 do
  local inc, branch = ARGV[i - 1], ARGV[i]
  if not there(KEYS[i + 1], inc) then return {'gone'} end
  local at = redis.call('HMGET', KEYS[i + 1], 'items', 'bytes', 'ring')
  outs[#outs + 1] = {queue = tally(KEYS[i], KEYS[i + 1], at[1], at[2]), ring = at[3], branch = branch}
end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local bound = ARGV[4] ~= '' and ARGV[4] or last and last[1] or '0-0'

local prefix, privates = string.sub(ARGV[6], 1, -3), {}

-- place returns the queue that gets the failures of a source: an out-queue, or the private queue of the
-- source, false if that is gone.
local function place(queue, source)
  local last, private = private_of(source)
  if not last or queue.meta ~= prefix .. 'm:' .. last then return queue end
  if privates[private] == nil then
    local at = redis.call('HMGET', prefix .. 'm:' .. private, 'inc', 'dying', 'items', 'bytes')
    privates[private] = at[1] and not at[2] and tally(prefix .. 'q:' .. private, prefix .. 'm:' .. private, at[3], at[4])
  end
  return privates[private]
end

-- drop replaces an entry by a failure in each out-queue. One that is no batch has no place there.
local function drop(stream, entry)
  local source, first, n = field(entry, 's'), tonumber(field(entry, 'o')), tonumber(field(entry, 'n'))
  if source and first and n then
    for _, out in ipairs(outs) do
      local to = place(out.queue, source)
      if to then add(to, source .. out.branch, string.format('%d', first), n, 0, stamp_of(entry), 'e', ARGV[5]) end
    end
    items = items + n
  end
  local payload = field(entry, 'f')
  if payload then redis.call('UNLINK', ARGV[6] .. payload) end
  redis.call('XDEL', stream, entry[1])
  left = left - 1
end

-- drop_unread drops the entries of a stream that no consumer has read.
local function drop_unread(stream, to)
  if left <= 0 or redis.call('EXISTS', stream) == 0 then return end
  local unread = redis.call('XRANGE', stream, '(' .. delivered(stream), to, 'COUNT', left)
  if #unread == 0 then return end
  redis.call('XREADGROUP', 'GROUP', 'w', 'purge', 'COUNT', #unread, 'STREAMS', stream, '>')
  for _, entry in ipairs(unread) do
    redis.call('XACK', stream, 'w', entry[1])
    drop(stream, entry)
  end
  redis.call('XGROUP', 'DELCONSUMER', stream, 'w', 'purge')
end

drop_unread(KEYS[3], '+')
drop_unread(KEYS[4], '+')
if left > 0 then
  for _, entry in ipairs(redis.call('XRANGE', KEYS[5], '-', '+', 'COUNT', left)) do
    redis.call('ZREM', KEYS[6], ARGV[1] .. ' ' .. entry[1])
    drop(KEYS[5], entry)
  end
end
drop_unread(KEYS[2], bound)
for _, queue in pairs(privates) do
  if queue then post(queue) end
end
for _, out in ipairs(outs) do
  post(out.queue)
  if items > 0 then announce(prefix, string.sub(out.queue.meta, #prefix + 3), out.ring) end
end
tell_all(KEYS[7], 'room', ARGV[1])
return {'ok', tonumber(ARGV[3]) - left, items, bound}
