-- join.lua: enters a process into its registry and makes its mailbox
-- KEYS 1 registry  workers|executors
-- KEYS 2 card  w:<id>|e:<id>
-- KEYS 3 mailbox  p:<id>
-- KEYS 4 fenced  fenced
-- KEYS 5 space  space  of partition 0
-- KEYS 6 watcher  watcher
-- ARGV 1 id  of the process
-- ARGV 2 mark  w:<id> or e:<id>
-- ARGV 3 partitions  their number, in partition 0; 0 in another partition
-- ARGV 4 birth  random text, the birth of the partition if it has none
-- ARGV 5+ card  {field, value}*  all fields of the card
-- field field  name of a field of the card
-- field value  of that field
-- reply [time, birth]
-- reply [0, '']  the number of partitions is another one, and the process has not joined
-- field time  of Redis in ms
-- field birth  of the partition: another one tells that Redis has lost all data of the partition
if ARGV[3] ~= '0' and (redis.call('HGET', KEYS[5], 'partitions') or '1') ~= ARGV[3] then return {0, ''} end
redis.call('HDEL', KEYS[4], ARGV[2]) -- it comes first: a script that has begun to delete may add, also where the memory is full
if redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[3], 'w', '0', 'MKSTREAM')
end
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local ms, birth = now_ms(), redis.call('HGET', KEYS[6], 'birth')
if not birth then
  birth = ARGV[4]
  redis.call('HSET', KEYS[6], 'birth', birth)
end
redis.call('HSET', KEYS[2], 'seen', ms)
redis.call('ZADD', KEYS[1], ms, ARGV[1])
if string.sub(ARGV[2], 1, 1) == 'w' then -- until join_class.lua, it waits at queues
  local prefix = string.sub(KEYS[3], 1, -3 - #ARGV[1])
  local class = redis.pcall('HGET', prefix .. 'classes', 'm:' .. ARGV[1])
  if not class then pcall(function() wait_at_queues(prefix, ARGV[1]) end) end
end
return {ms, birth}
