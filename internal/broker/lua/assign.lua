-- assign.lua: in which partition the queue of a name is made; the first one stays
-- KEYS 1 places   hash of partitions by the name of a queue
-- ARGV 1 queue    its name
-- ARGV 2 wanted   partition
-- ARGV 3 instead  of this one, -1 of none
-- reply: the partition
local at = redis.call('HGET', KEYS[1], ARGV[1])
if at and at ~= ARGV[3] then return tonumber(at) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return tonumber(ARGV[2])
