-- pause_stage.lua: replaces the record of a stage that an operator pauses or resumes, and tells the
--   workers
-- KEYS 1 stages  stages
-- KEYS 2 workers  workers
-- ARGV 1 stage  its id
-- ARGV 2 old  record, as it was read
-- ARGV 3 record  JSON
-- ARGV 4 prefix  of all keys
-- reply 1  done
-- reply 0  the stage has changed since it was read
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found == ARGV[3] then return 1 end
if found ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local queues = queues_in(ARGV[3], 'ins')
tell_stage(ARGV[4], KEYS[2], KEYS[1], ARGV[1], queues, {ARGV[3], found})
for _, queue in ipairs(queues) do
  if redis.call('HGET', ARGV[4] .. 'm:' .. queue, 'consumer') == 'stage:' .. ARGV[1] then follow(ARGV[4], queue, ARGV[1], ARGV[3]) end
end
return 1
