-- assign.lua: notes in which partition the queue of a name is made; the first one stays
-- KEYS 1 places  places  in the partition that the name falls to
-- ARGV 1 queue  its name
-- ARGV 2 wanted  partition
-- ARGV 3 instead  partition that turned out not to have the queue and is replaced; -1: none
-- reply partition  the partition of the queue
local at = redis.call('HGET', KEYS[1], ARGV[1])
if at and at ~= ARGV[3] then return tonumber(at) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return tonumber(ARGV[2])
