-- requeue_due.lua: brings back delayed entries that are due, and queues that a limit has held
-- KEYS 1 due  due
-- ARGV 1 prefix  of all keys
-- ARGV 2 count  most entries that are brought back
-- reply 1  more may be due: the call is repeated
-- reply 0  no more are due
local function bring(queue, id)
  local ring = redis.call('HGET', ARGV[1] .. 'm:' .. queue, 'ring')
  if id == 'limit' then return announce_unread(ARGV[1], queue, ring) end
  local delayed, returns = ARGV[1] .. 'l:' .. queue, ARGV[1] .. 'r:' .. queue
  if redis.call('TYPE', delayed).ok ~= 'stream' or redis.call('TYPE', returns).ok ~= 'stream' then return end
  local found = redis.pcall('XRANGE', delayed, id, id)
  local entry = found[1]
  if not entry then return end
  local kind = field(entry, 'f') and 'f' or 'p'
  put_back(returns, nil, false, field(entry, 's') or '', field(entry, 'o') or 0, field(entry, 'n') or 0,
    field(entry, 'a') or 0, field(entry, 'k') or 0, stamp_of(entry), kind, field(entry, kind) or '', field(entry, 'w'), field(entry, 'd'),
    field(entry, 'i'))
  redis.call('XDEL', delayed, id)
  announce(ARGV[1], queue, ring)
end

redis.call('ZREM', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms(), 'LIMIT', 0, ARGV[2])
for _, member in ipairs(members) do
  local queue, id = string.match(member, '^(%S+) (%S+)$')
  if queue then bring(queue, id) end
  redis.call('ZREM', KEYS[1], member)
end
return #members == tonumber(ARGV[2]) and 1 or 0
