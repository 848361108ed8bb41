-- release.lua: a gather gives its queue up; what it read and did not finish waits for its successor
-- KEYS 1 meta     m:<queue>
-- KEYS 2 mailbox  p:<gather>
-- KEYS 3 stream   q:<queue>
-- KEYS 4+ watch   watch:<root queue> of each root
-- ARGV 1 reader   the queue's incarnation and the epoch of the gather, with a space between; 0 is that of one that is dead, of which its heir leaves no name
-- ARGV 2 mailbox  as it stands in the watch sets
-- ARGV 3 gather   its id
-- reply: 1 where it was still the consumer
redis.call('DEL', KEYS[2])
for i = 4, #KEYS do redis.call('SREM', KEYS[i], ARGV[2]) end
if redis.call('EXISTS', KEYS[3]) == 1 and #redis.call('XPENDING', KEYS[3], 'w', '-', '+', 1, ARGV[3]) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[3], 'w', ARGV[3]) -- also of one that was taken over from
end
local meta = redis.call('HMGET', KEYS[1], 'inc', 'gepoch')
if (meta[1] or '') .. ' ' .. (meta[2] or '') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'consumer', 'gatherer')
return 1
