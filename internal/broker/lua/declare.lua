-- declare.lua: makes a queue, or finds the one of that name
-- KEYS 1 meta  m:<queue>
-- KEYS 2 stream  q:<queue>
-- KEYS 3 returns  r:<queue>
-- KEYS 4 owned  own:<executor>  of its owner
-- KEYS 5 queues  queues
-- ARGV 1 queue  its name
-- ARGV 2 inc  incarnation, if it is made now
-- ARGV 3 codec  of its items; empty, with an empty type: not known yet
-- ARGV 4 type  of its items
-- ARGV 5 max  items that may wait, 0 for no bound
-- ARGV 6 maxb  bytes that may wait, 0 for no bound
-- ARGV 7 owner  executor it goes with; empty for a queue that stays
-- ARGV 8 sealed  1 if no source can join, otherwise 0
-- ARGV 9 from  JSON list of the paths it is fed from, [] for a root
-- ARGV 10 flow  the queue in which its flow begins
-- ARGV 11 version  of its format: 2 if an offset may have another number of items than one, otherwise 1
-- ARGV 12 expires  ms out of use after which the watcher deletes its flow; 0: never, or as it is
-- reply [status, [{field, value}*]]  with the fields of the meta
-- field field  name of a field of the meta
-- field value  of that field
-- word made  the queue was made by this call
-- word found  a queue of that name was there
-- word dying  it is being deleted
-- error BUSYGROUP  a stream of that name is there without its meta
local status = 'found'
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
  redis.call('XGROUP', 'CREATE', KEYS[2], 'w', '0', 'MKSTREAM')
  redis.call('XGROUP', 'CREATE', KEYS[3], 'w', '0', 'MKSTREAM')
  redis.call('HSET', KEYS[1], 'v', ARGV[11], 'inc', ARGV[2], 'codec', ARGV[3], 'type', ARGV[4],
    'max', ARGV[5], 'maxb', ARGV[6], 'owner', ARGV[7], 'sealed', ARGV[8], 'from', ARGV[9],
    'flow', ARGV[10], 'items', 0, 'bytes', 0, 'made', string.format('%d', now_ms()))
  redis.call('SADD', KEYS[5], ARGV[1])
  if ARGV[7] ~= '' then redis.call('SADD', KEYS[4], ARGV[1]) end
  status = 'made'
elseif redis.call('HEXISTS', KEYS[1], 'dying') == 1 then
  status = 'dying'
end
if status ~= 'dying' and ARGV[12] ~= '0' then
  local expiring = string.gsub(KEYS[5], 'queues$', 'expiring')
  if redis.call('HGET', KEYS[1], 'expires') ~= ARGV[12] or not redis.call('ZSCORE', expiring, ARGV[1]) then
    redis.call('HSET', KEYS[1], 'expires', ARGV[12])
    redis.call('ZADD', expiring, now_ms() + math.ceil(tonumber(ARGV[12]) / 4), ARGV[1])
  end
end
return {status, redis.call('HGETALL', KEYS[1])}
