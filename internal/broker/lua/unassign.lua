-- unassign.lua: forgets in which partition a queue was
-- KEYS 1 places   hash of partitions by the name of a queue
-- ARGV 1 queue    its name
-- ARGV 2 at       partition that had it
-- reply: 1 where it was known to be there
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
