-- limit_batches.lua: lowers the bound of the batches that a scatter makes
-- KEYS 1+ metas  {m:<root queue>}*
-- ARGV 1 limit  items of a batch
-- reply status
-- word ok  no root queue has a higher bound
for _, meta in ipairs(KEYS) do
  local old = tonumber(redis.call('HGET', meta, 'limit') or 0)
  if redis.call('EXISTS', meta) == 1 and (old == 0 or old > tonumber(ARGV[1])) then
    redis.call('HDEL', meta, '') -- a script that has begun to delete may add, also where the memory is full
    redis.call('HSET', meta, 'limit', ARGV[1])
  end
end
return 'ok'
