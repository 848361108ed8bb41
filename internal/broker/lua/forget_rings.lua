-- forget_rings.lua: forgets what the rings keep of workers that have gone and of functions that no stage
--   has
-- KEYS 1 classes  classes
-- KEYS 2 workers  workers
-- KEYS 3 direct  direct
-- ARGV 1 prefix  of all keys
-- ARGV 2+ signatures  {signature}*  that were there before a pass over all stages and that none of them has
-- field signature  of the function of a stage, see the field ring of metas
-- reply forgotten  workers and signatures
local prefix, forgotten = ARGV[1], 0
for i = 2, #ARGV do
  local ready = prefix .. 'ready:' .. ARGV[i]
  if redis.call('EXISTS', ready) == 0 and redis.call('HDEL', KEYS[1], 's:' .. ARGV[i]) == 1 then
    forgotten = forgotten + 1
    for class in string.gmatch(redis.call('HGET', KEYS[1], 'all') or '', '%S+') do
      local rest = {}
      for signature in string.gmatch(redis.call('HGET', KEYS[1], 'w:' .. class) or '', '[^\n]+') do
        if signature ~= ARGV[i] then rest[#rest + 1] = signature .. '\n' end
      end
      redis.call('HSET', KEYS[1], 'w:' .. class, table.concat(rest))
    end
  end
end
local known = redis.call('HGETALL', KEYS[1])
for i = 1, #known, 2 do
  local worker = string.match(known[i], '^m:(.*)$')
  if worker and not redis.call('ZSCORE', KEYS[2], worker) then
    leave_class(prefix, worker)
    forgotten = forgotten + 1
  end
end
local direct = redis.call('HGETALL', KEYS[3])
for i = 1, #direct, 2 do
  if not redis.call('ZSCORE', KEYS[2], direct[i]) then forgotten = forgotten + redis.call('HDEL', KEYS[3], direct[i]) end
end
return forgotten
