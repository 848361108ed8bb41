-- resolve.lua: replaces a finished entry by the results of its futures, if it is still there
-- KEYS 1 stream   the entry's
-- KEYS 2 meta     m:<in>
-- KEYS 3 mailbox  of the executor that waits for them
-- KEYS 4+ keys    f:<id> of each result, then the entry's old payload keys
-- ARGV 1 id       the entry's
-- ARGV 2 inc      of the in-queue
-- ARGV 3 ttl      of a result, ms
-- ARGV 4 what     the hint: source, first offset, number
-- ARGV 5 cost     in ns an item
-- ARGV 6+ result  a payload for each future
-- reply: 'ok'|'lost'|'gone'
local meta = redis.call('HMGET', KEYS[2], 'inc', 'dying')
if meta[1] ~= ARGV[2] or meta[2] then return 'gone' end
if redis.call('XACK', KEYS[1], 'w', ARGV[1]) == 0 and #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 'lost'
end
local results = #ARGV - 5
for i = 1, results do
  redis.call('SET', KEYS[3 + i], ARGV[5 + i], 'NX', 'PX', ARGV[3])
end
redis.call('XDEL', KEYS[1], ARGV[1])
for i = 4 + results, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('HSET', KEYS[2], 'cost', ARGV[5])
tell(KEYS[3], 'done', ARGV[4])
return 'ok'
