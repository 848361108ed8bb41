-- adopt.lua: gives a queue of encoded items the codec and type of its reader
-- KEYS 1 meta  m:<queue>
-- ARGV 1 inc  incarnation of the queue
-- ARGV 2 codec  of its items
-- ARGV 3 type  of its items
-- reply 1  the queue has them now
-- reply 0  the queue had a type, or has another incarnation
local meta = redis.call('HMGET', KEYS[1], 'inc', 'type')
if meta[1] ~= ARGV[1] or meta[2] ~= '' then return 0 end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[1], 'codec', ARGV[2], 'type', ARGV[3])
return 1
