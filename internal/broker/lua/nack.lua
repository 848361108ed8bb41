-- nack.lua: notes how often items that a gather has given back were delivered, and makes dead letters of some
-- KEYS 1 meta    m:<queue>
-- KEYS 2 nacked  nacked:<queue>, by '<source> <offset>' how often an item was delivered; negative if it is a dead letter
-- KEYS 3 dead    stream of the dead letters
-- ARGV 1 reader  the queue's incarnation and the epoch of the gather, with a space between
-- ARGV 2 queue   its name
-- ARGV 3 prefix  of payload keys
-- ARGV 4 most    dead letters that are kept
-- ARGV 5+ item   for each: source, offset, deliveries, why it becomes a dead letter ('': it does not), its frame in that case
-- reply: 'ok'|'gone'|'fenced'
local meta = redis.call('HMGET', KEYS[1], 'gepoch', 'inc', 'dying')
if not meta[1] or meta[3] then return 'gone' end
if (meta[2] or '') .. ' ' .. meta[1] ~= ARGV[1] then return 'fenced' end
redis.call('HDEL', KEYS[2], '') -- a script that has begun to delete may add, also where the memory is full
for a = 5, #ARGV, 5 do
  local item, deliveries, why = ARGV[a] .. ' ' .. ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3]
  local before = tonumber(redis.call('HGET', KEYS[2], item) or 0)
  if before >= 0 and why ~= '' then
    redis.call('XADD', KEYS[3], '*', 'q', ARGV[2], 's', ARGV[a], 'o', ARGV[a + 1], 'n', 1, 'a', deliveries, 'k', 0,
      'why', why, 'p', ARGV[a + 4])
    trim_dead(KEYS[3], ARGV[3], tonumber(ARGV[4]))
    deliveries = -deliveries
  end
  if before >= 0 then redis.call('HSET', KEYS[2], item, deliveries) end
end
return 'ok'
