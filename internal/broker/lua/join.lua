-- join.lua: enters a process into its registry and makes its mailbox
-- KEYS 1 registry  zset workers or executors: last beat in ms by id
-- KEYS 2 card      hash w:<id> or e:<id>
-- KEYS 3 mailbox   p:<id>
-- KEYS 4 fenced    hash of the processes that were declared dead
-- KEYS 5 space     hash {ns:0}:space
-- ARGV 1 id        of the process
-- ARGV 2 mark      w:<id> or e:<id>
-- ARGV 3 spread    number of partitions, 0 where another partition has told it
-- ARGV 4+ field    name and value of each field of the card
-- reply: the time, ms, or 0 where the number of partitions is another one
if ARGV[3] ~= '0' and (redis.call('HGET', KEYS[5], 'partitions') or '1') ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[4], ARGV[2]) -- it comes first: a script that has begun to delete may add, also where the memory is full
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[3], 'w', '0', 'MKSTREAM')
end
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local ms = now_ms()
redis.call('HSET', KEYS[2], 'seen', ms)
redis.call('ZADD', KEYS[1], ms, ARGV[1])
return ms
