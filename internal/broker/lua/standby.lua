-- standby.lua: lets an executor wait for the right to gather a queue, while a gather of a live
--   executor has it
-- KEYS 1 meta  m:<queue>
-- KEYS 2 executors  executors
-- KEYS 3 standby  standby:<queue>
-- ARGV 1 mailbox  key of the mailbox of the executor that waits
-- ARGV 2 queue  its name
-- ARGV 3 prefix  of all keys
-- ARGV 4 silence  ms after which an executor that has not called again is forgotten
-- reply status
-- reply 'stage:<id>'  a stage reads the queue
-- word waits  the mailbox is told
-- word free  no live gather has the queue
-- word gone  the queue is gone or is being deleted
local meta = redis.call('HMGET', KEYS[1], 'inc', 'dying', 'consumer', 'gatherer')
if not meta[1] or meta[2] then return 'gone' end
if string.sub(meta[3] or '', 1, 6) == 'stage:' then return meta[3] end
if not meta[3] or not meta[4] or not redis.call('ZSCORE', KEYS[2], meta[4]) then return 'free' end
local ms = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ms - tonumber(ARGV[4])) -- it comes first: a script that has begun to delete may add, also where the memory is full
redis.call('ZADD', KEYS[3], ms, ARGV[1])
redis.call('SADD', ARGV[3] .. 'awaited:' .. meta[4], ARGV[2])
return 'waits'
