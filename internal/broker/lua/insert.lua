-- insert.lua: makes a stage over a queue, and lets the stage that reads it read the out-queue of the new
--   one instead
-- KEYS 1 stages  stages
-- KEYS 2 workers  workers
-- KEYS 3 in  m:<in>
-- KEYS 4 out  m:<out>  of the new stage
-- ARGV 1 stage  id of the new stage
-- ARGV 2 record  JSON of the new stage
-- ARGV 3 prefix  of all keys
-- ARGV 4 queue  name of the in-queue
-- ARGV 5 between  name of the out-queue of the new stage
-- ARGV 6 next  id of the stage that reads the in-queue
-- ARGV 7 old  its record, as it was read
-- ARGV 8 moved  its record with the out-queue of the new stage in the place of the in-queue
-- reply status
-- word ok  also for a repeated call
-- word changed  the next stage is not that of the old record, or no longer reads the in-queue
-- word gone  a queue is gone or is being deleted
-- word taken  the new stage is there already, or its out-queue has a consumer
local function is_there(meta)
  local fields = redis.call('HMGET', meta, 'inc', 'dying')
  return fields[1] and not fields[2]
end
if not is_there(KEYS[3]) or not is_there(KEYS[4]) then return 'gone' end
local records = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[6])
if records[1] == ARGV[2] and records[2] == ARGV[8] then return 'ok' end
if records[2] ~= ARGV[7] or redis.call('HGET', KEYS[3], 'consumer') ~= 'stage:' .. ARGV[6] then return 'changed' end
if records[1] or redis.call('HEXISTS', KEYS[4], 'consumer') == 1 then return 'taken' end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[3], 'consumer', 'stage:' .. ARGV[1])
redis.call('HSET', KEYS[4], 'consumer', 'stage:' .. ARGV[6], 's:' .. ARGV[1], 1)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[6], ARGV[8])
tell_stage(ARGV[3], KEYS[2], KEYS[1], ARGV[1], {ARGV[4]}, {ARGV[2]})
tell_stage(ARGV[3], KEYS[2], KEYS[1], ARGV[6], {ARGV[5], ARGV[4]}, {ARGV[7], ARGV[8]})
follow(ARGV[3], ARGV[4], ARGV[1], ARGV[2])
follow(ARGV[3], ARGV[5], ARGV[6], ARGV[8])
return 'ok'
