-- nack.lua: notes how often items that a gather has given back were delivered, and makes dead
--   letters of some
-- KEYS 1 meta  m:<queue>
-- KEYS 2 nacked  nacked:<queue>
-- KEYS 3 dead  dead
-- ARGV 1 reader  incarnation of the queue and epoch of the gather, with a space between
-- ARGV 2 queue  its name
-- ARGV 3 payloads  prefix of payload keys
-- ARGV 4 most  dead letters that are kept
-- ARGV 5+ items  {source, offset, deliveries, stamp, why, frame}*  for each item
-- field source  its name in this queue
-- field offset  of the item
-- field deliveries  of the item so far
-- field stamp  the field t of its entry
-- field why  JSON of the failure that makes it a dead letter; empty: it becomes none
-- field frame  of the item alone if it becomes a dead letter, otherwise empty
-- reply status
-- word ok  noted
-- word gone  the queue is gone or is being deleted
-- word fenced  another gather has the queue
local meta = redis.call('HMGET', KEYS[1], 'gepoch', 'inc', 'dying')
if not meta[1] or meta[3] then return 'gone' end
if (meta[2] or '') .. ' ' .. meta[1] ~= ARGV[1] then return 'fenced' end
redis.call('HDEL', KEYS[2], '') -- a script that has begun to delete may add, also where the memory is full
for a = 5, #ARGV, 6 do
  local item, deliveries, why = ARGV[a] .. ' ' .. ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 4]
  local before = tonumber(redis.call('HGET', KEYS[2], item) or 0)
  if before >= 0 and why ~= '' then
    redis.call('XADD', KEYS[3], '*', 'q', ARGV[2], 's', ARGV[a], 'o', ARGV[a + 1], 'n', 1, 'a', deliveries, 'k', 0,
      't', ARGV[a + 3], 'why', why, 'p', ARGV[a + 5])
    trim_dead(KEYS[3], ARGV[3], tonumber(ARGV[4]))
    deliveries = -deliveries
  end
  if before >= 0 then redis.call('HSET', KEYS[2], item, deliveries) end
end
return 'ok'
