-- consume.lua: makes a gather the consumer of a queue, instead of a gather whose executor was
--   declared dead or has left
-- KEYS 1 meta  m:<queue>
-- KEYS 2 mailbox  p:<gather>
-- KEYS 3 executors  executors
-- KEYS 4 delivered  d:<queue>
-- KEYS 5 nacked  nacked:<queue>
-- KEYS 6 stream  q:<queue>
-- KEYS 7+ requeued  r:<queue>, x:<queue>
-- ARGV 1 gather  its id
-- ARGV 2 executor  that it belongs to
-- reply ['ok', epoch, [{field, value}*], [{source, mark}*], requeued, nacked, pending]  the gather is
--   the consumer; the list of marks is nil if there are more than a thousand, which HSCAN reads
-- reply ['taken', consumer, executor]
-- reply ['version', version]
-- reply ['gone']
-- field epoch  of the gather
-- field field  name of a field of the meta
-- field value  of that field
-- field source  name of a source in this queue
-- field mark  its delivered mark, a value of d:<queue>
-- field requeued  entries in r:<queue> and x:<queue>, see collect_requeued.lua
-- field nacked  number of fields of nacked:<queue>
-- field pending  entries of q:<queue> that readers have not acknowledged: the gather takes them over
-- field consumer  stage:<id> or gather:<id>
-- field executor  of the gather that has it; empty for a stage
-- field version  v of the queue
-- word ok  also for a repeated call
-- word taken  a stage, or a gather of a live executor, has the queue
-- word version  the format of the queue is neither 1 nor 2
-- word gone  the queue is gone or is being deleted
-- error BUSYGROUP  the mailbox is there: another gather has the id
local meta = redis.call('HMGET', KEYS[1], 'inc', 'consumer', 'gatherer', 'dying', 'v')
if not meta[1] or meta[4] then return {'gone'} end
if meta[5] ~= '1' and meta[5] ~= '2' then return {'version', meta[5] or ''} end

local function requeued()
  local entries = 0
  for i = 7, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then entries = entries + redis.call('XLEN', KEYS[i]) end
  end
  return entries
end

local function pending()
  if redis.call('EXISTS', KEYS[6]) == 0 then return 0 end
  return redis.call('XPENDING', KEYS[6], 'w')[1]
end

local function marks() return redis.call('HLEN', KEYS[4]) <= 1000 and redis.call('HGETALL', KEYS[4]) or false end

if meta[2] == 'gather:' .. ARGV[1] then -- the reply was lost
  return {'ok', tonumber(redis.call('HGET', KEYS[1], 'gepoch')), redis.call('HGETALL', KEYS[1]), marks(), requeued(), redis.call('HLEN', KEYS[5]), pending()}
end
if meta[2] and (not meta[3] or redis.call('ZSCORE', KEYS[3], meta[3])) then return {'taken', meta[2], meta[3] or ''} end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('XGROUP', 'CREATE', KEYS[2], 'w', '0', 'MKSTREAM')
redis.call('PEXPIRE', KEYS[2], 600000) -- of a gather that dies before it watches, it goes by itself
redis.call('HSET', KEYS[1], 'consumer', 'gather:' .. ARGV[1], 'gatherer', ARGV[2], 'acks', 0,
  'before', string.match(meta[2] or '', '^gather:(.+)$') or '')
local epoch = redis.call('HINCRBY', KEYS[1], 'gepoch', 1)
return {'ok', epoch, redis.call('HGETALL', KEYS[1]), marks(), requeued(), redis.call('HLEN', KEYS[5]), pending()}
