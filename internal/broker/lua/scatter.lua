-- scatter.lua: stores the batches of a source that are ready, each once
-- KEYS 1 source   s:<source>
-- KEYS 2 meta     m:<queue>
-- KEYS 3 stream   q:<queue>
-- KEYS 4 wait     wait:<queue>, mailboxes to tell when there is room
-- KEYS 5+ payload f:<id>, one for each batch of kind f
-- ARGV 1 source   its name
-- ARGV 2 epoch    of the source, as its maker was told
-- ARGV 3 inc      the queue's incarnation
-- ARGV 4 mailbox  to tell when there is room
-- ARGV 5 window   items between scatter and gather; 0 for no bound, -n for one of n that counts once something gathers
-- ARGV 6 lost     the failure to put where a range was lost
-- ARGV 7+ batch   first, n, size in bytes, kind, data
-- reply: {'ok'|'full'|'window'|'straddle'|'resend'|'gone'|'fenced', stored, room, cost in ns, limit of a batch}; room is -1 and limit 0 where there is no bound
local source = {}
local low = nil
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  source[flat[i]] = flat[i + 1]
  if string.sub(flat[i], 1, 2) == 'g:' then
    low = math.min(low or math.huge, tonumber(flat[i + 1]))
  end
end
if not source.epoch then return {'gone', 0, -1, 0} end
local stored = tonumber(source.stored)
if source.epoch ~= ARGV[2] then return {'fenced', stored, -1, 0} end
local meta = redis.call('HMGET', KEYS[2], 'inc', 'dying', 'max', 'maxb', 'cost', 'limit')
if meta[1] ~= ARGV[3] or meta[2] then return {'gone', stored, -1, 0} end

local max, max_bytes = tonumber(meta[3]), tonumber(meta[4])
local items, bytes = 0, 0
if max > 0 or max_bytes > 0 then items, bytes = unread(KEYS[3], KEYS[2]) end
local limit = math.huge
local window = tonumber(ARGV[5])
if window > 0 then limit = (low or 0) + window end
if window < 0 and low then limit = low - window end

local status = 'ok'
local key = 5
for i = 7, #ARGV, 5 do
  local first, n, size = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local kind, data = ARGV[i + 3], ARGV[i + 4]
  local payload = nil
  if kind == 'f' then
    payload = KEYS[key]
    key = key + 1
  end
  if first + n > stored then
    if first < stored then
      status = 'straddle'
    elseif items > 0 and ((max > 0 and items + n > max) or (max_bytes > 0 and bytes + size > max_bytes)) then
      status = 'full'
    elseif first + n > limit then
      status = 'window'
    elseif payload and redis.call('EXISTS', payload) == 0 then
      status = 'resend'
    end
    if status ~= 'ok' then break end
    if first > stored then
      add(KEYS[3], KEYS[2], ARGV[1], stored, first - stored, 0, 'e', ARGV[6])
    end
    if payload then redis.call('PERSIST', payload) end
    add(KEYS[3], KEYS[2], ARGV[1], first, n, size, kind, data)
    stored = first + n
    items, bytes = items + n, bytes + size
    redis.call('HSET', KEYS[1], 'stored', stored)
  end
end

if status == 'full' then redis.call('SADD', KEYS[4], ARGV[4]) end
if status == 'window' then redis.call('HSET', KEYS[1], 'wait', ARGV[4]) end
local room = limit - stored
if max > 0 then room = math.min(room, max - items) end
if room == math.huge then room = -1 else room = math.max(room, 0) end
return {status, stored, room, tonumber(meta[5] or 0), tonumber(meta[6] or 0)}
