-- waiting.lua: what waits in a queue
-- KEYS 1 stream   q:<queue>
-- KEYS 2 returns  r:<queue>
-- KEYS 3 meta     m:<queue>
-- reply: {'ok', items and bytes that nobody has read, entries that were read and are not finished} or {'gone'}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
local items, bytes = unread(KEYS[1], KEYS[3])
return {'ok', items, bytes, redis.call('XPENDING', KEYS[1], 'w')[1] + redis.call('XPENDING', KEYS[2], 'w')[1]}
