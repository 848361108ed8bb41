-- mark.lua: marks a queue as dying, so that everybody refuses it
-- KEYS 1 meta   m:<queue>
-- KEYS 2 wait   wait:<queue>
-- KEYS 3 watch  watch:<queue>
-- ARGV 1 queue  its name
-- reply: 1 where it was there
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[1], 'dying', 1)
tell_all(KEYS[2], 'room', ARGV[1])
tell_all(KEYS[3], 'gone', ARGV[1])
return 1
