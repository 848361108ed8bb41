-- unassign.lua: forgets in which partition a queue was
-- KEYS 1 places  places  in the partition that the name falls to
-- ARGV 1 queue  its name
-- ARGV 2 at  partition that had it
-- reply 1  it was noted there
-- reply 0  it was not
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
