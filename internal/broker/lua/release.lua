-- release.lua: a gather gives its queue up
-- KEYS 1 meta     m:<queue>
-- KEYS 2 mailbox  p:<gather>
-- KEYS 3+ watch   watch:<root queue> of each root
-- ARGV 1 epoch    of the gather
-- ARGV 2 mailbox  as it stands in the watch sets
-- reply: 1 where it was still the consumer
redis.call('DEL', KEYS[2])
for i = 3, #KEYS do redis.call('SREM', KEYS[i], ARGV[2]) end
if redis.call('HGET', KEYS[1], 'gepoch') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'consumer', 'gatherer')
return 1
