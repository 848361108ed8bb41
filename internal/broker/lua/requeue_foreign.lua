-- requeue_foreign.lua: requeues entries of a queue that were read by others than live workers: its
--   stage goes on with the entries that a gather has left
-- KEYS 1 stream  q:<queue>
-- KEYS 2 returns  r:<queue>
-- KEYS 3 workers  workers
-- ARGV 1 after  (id behind which to look, - for all
-- ARGV 2 count  most pending entries that the call looks at
-- reply last  id of the last entry that it looked at; empty at the end
-- error NOGROUP  the stream has lost its group
if redis.call('EXISTS', KEYS[1]) == 0 then return '' end
redis.call('XACK', KEYS[1], 'w', '0-0') -- a script that has begun to delete may add, also where the memory is full
local pending = redis.call('XPENDING', KEYS[1], 'w', ARGV[1], '+', ARGV[2])
local count = 0
for _, row in ipairs(pending) do
  local entry = not redis.call('ZSCORE', KEYS[3], row[2]) and redis.call('XRANGE', KEYS[1], row[1], row[1])[1]
  if entry then
    local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
    put_back(KEYS[2], nil, false, field(entry, 's') or '', field(entry, 'o') or 0, field(entry, 'n') or 0,
      field(entry, 'a') or 0, field(entry, 'k') or 0, stamp_of(entry), kind, field(entry, kind) or '', nil, field(entry, 'd'), field(entry, 'i'))
    redis.call('XACK', KEYS[1], 'w', row[1])
    redis.call('XDEL', KEYS[1], row[1])
    count = count + 1
  end
end
if count > 0 then
  local prefix, queue = string.match(KEYS[1], '^({[^}]*}:)q:(.*)$')
  announce(prefix, queue, redis.call('HGET', prefix .. 'm:' .. queue, 'ring'))
end
return #pending == tonumber(ARGV[2]) and pending[#pending][1] or ''
