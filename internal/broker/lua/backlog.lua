-- backlog.lua: counts the entries and items of a queue
-- KEYS 1 meta     m:<queue>
-- KEYS 2 delayed  l:<queue>
-- KEYS 3+ stream  q:<queue>, r:<queue>, x:<queue>
-- reply: {'ok', items and bytes that no reader has read, entries that were read and are not finished, entries that are delayed, entries in all, items added so far} or {'gone'}
if redis.call('EXISTS', KEYS[3]) == 0 then return {'gone'} end
local items, bytes = unread(KEYS[3], KEYS[1])
local delayed = redis.call('XLEN', KEYS[2])
local running, entries = 0, delayed
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then running = running + redis.call('XPENDING', KEYS[i], 'w')[1] end
  entries = entries + redis.call('XLEN', KEYS[i])
end
return {'ok', items, bytes, running, delayed, entries, tonumber(redis.call('HGET', KEYS[1], 'items') or 0)}
