-- release.lua: gives up the queue of a gather; entries that it read and did not finish wait for its
--   successor
-- KEYS 1 meta  m:<queue>
-- KEYS 2 mailbox  p:<gather>
-- KEYS 3 stream  q:<queue>
-- KEYS 4+ roots  {watch:<root queue>}*  of each root
-- ARGV 1 gather  its id
-- ARGV 2 mailbox  its key, as it stands in the watch sets
-- ARGV 3 queue  its name
-- ARGV 4 prefix  of all keys
-- reply 1  the gather was the consumer
-- reply 0  it was not
-- error NOGROUP  the stream has lost its group
redis.call('DEL', KEYS[2])
for i = 4, #KEYS do redis.call('SREM', KEYS[i], ARGV[2]) end
if redis.call('EXISTS', KEYS[3]) == 1 then
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[3], 'w')) do
    local name, pending
    for i = 1, #consumer, 2 do
      if consumer[i] == 'name' then name = consumer[i + 1] end
      if consumer[i] == 'pending' then pending = consumer[i + 1] end
    end
    if pending == 0 then -- also the name of a predecessor, whose entries this gather has taken over
      redis.call('XGROUP', 'DELCONSUMER', KEYS[3], 'w', name)
    end
  end
end
if redis.call('HGET', KEYS[1], 'consumer') ~= 'gather:' .. ARGV[1] then return 0 end
local executor = redis.call('HGET', KEYS[1], 'gatherer')
redis.call('HDEL', KEYS[1], 'consumer', 'gatherer')
release_standby(ARGV[4], executor, ARGV[3])
return 1
