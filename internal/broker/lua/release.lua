-- release.lua: a gather gives its queue up; what it read and did not finish waits for its successor
-- KEYS 1 meta     m:<queue>
-- KEYS 2 mailbox  p:<gather>
-- KEYS 3 stream   q:<queue>
-- KEYS 4+ watch   watch:<root queue> of each root
-- ARGV 1 epoch    of the gather
-- ARGV 2 mailbox  as it stands in the watch sets
-- ARGV 3 gather   its id
-- reply: 1 where it was still the consumer
redis.call('DEL', KEYS[2])
for i = 4, #KEYS do redis.call('SREM', KEYS[i], ARGV[2]) end
if redis.call('HGET', KEYS[1], 'gepoch') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'consumer', 'gatherer')
if redis.call('EXISTS', KEYS[3]) == 1 and #redis.call('XPENDING', KEYS[3], 'w', '-', '+', 1, ARGV[3]) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[3], 'w', ARGV[3])
end
return 1
