-- backlog.lua: counts the entries and items of a queue; reads only
-- KEYS 1 meta  m:<queue>
-- KEYS 2 delayed  l:<queue>
-- KEYS 3+ streams  q:<queue>, r:<queue>, x:<queue>
-- reply ['ok', items, bytes, running, delayed, entries, added]
-- reply ['gone']
-- field items  items that no consumer has read
-- field bytes  bytes of these
-- field running  entries that were read and are not finished
-- field delayed  entries that wait for another attempt
-- field entries  entries in all four streams
-- field added  items added to the queue so far
-- word ok  the queue is there
-- word gone  the queue has no stream
-- error NOGROUP  a stream has lost its group
if redis.call('EXISTS', KEYS[3]) == 0 then return {'gone'} end
local items, bytes = unread(KEYS[3], KEYS[1])
local delayed = redis.call('XLEN', KEYS[2])
local running, entries = 0, delayed
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then running = running + redis.call('XPENDING', KEYS[i], 'w')[1] end
  entries = entries + redis.call('XLEN', KEYS[i])
end
return {'ok', items, bytes, running, delayed, entries, tonumber(redis.call('HGET', KEYS[1], 'items') or 0)}
