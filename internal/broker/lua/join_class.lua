-- join_class.lua: makes a worker wait for rings, as one of the workers with the same functions and
--   tags, or at the queues of its stages
-- KEYS 1 classes  classes
-- KEYS 2 workers  workers
-- KEYS 3 direct  direct
-- ARGV 1 worker  its id
-- ARGV 2 class  the id of its class; empty: it waits at queues
-- ARGV 3 definition  of the class: its tags with commas between, then for each function a line with
--   its name and the codecs and types of its items and results, with tabs between
-- ARGV 4 prefix  of all keys
-- reply 'gone'
-- reply 'ok'
-- reply 'new'
-- word ok  done, or the worker was in the class
-- word new  it is the first worker of the class: entries may wait that no ring was for
-- word gone  the worker is not in the registry
local worker, class, prefix = ARGV[1], ARGV[2], ARGV[4]
if not redis.call('ZSCORE', KEYS[2], worker) then return 'gone' end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
local old = redis.call('HGET', KEYS[1], 'm:' .. worker)
if class == '' then
  wait_at_queues(prefix, worker)
elseif old == class then
  redis.call('HDEL', KEYS[3], worker)
  return 'ok'
end
leave_class(prefix, worker)
if class == '' then return 'ok' end
redis.call('HDEL', KEYS[3], worker)
redis.call('HSET', KEYS[1], 'm:' .. worker, class)
redis.call('HINCRBY', KEYS[1], 'n', 1)
if redis.call('HINCRBY', KEYS[1], 'n:' .. class, 1) > 1 then return 'ok' end
redis.call('HSET', KEYS[1], 'c:' .. class, ARGV[3], 'all', (redis.call('HGET', KEYS[1], 'all') or '') .. ' ' .. class)
local known, served = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #known, 2 do
  local found = string.match(known[i], '^s:(.*)$')
  if found and serves(ARGV[3], found) then
    served[#served + 1] = found .. '\n'
    redis.call('HSET', KEYS[1], known[i], known[i + 1] .. ' ' .. class)
  end
end
redis.call('HSET', KEYS[1], 'w:' .. class, table.concat(served))
return 'new'
