-- purge.lua: deletes some entries of a dying queue, and their payload keys
-- KEYS 1 stream  q:, r:, x: or l:<queue>
-- KEYS 2 due     zset of the delayed entries
-- ARGV 1 count   at most so many
-- ARGV 2 prefix  of payload keys
-- ARGV 3 queue   its name
-- reply: entries deleted; 0 when none is left
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])
for _, entry in ipairs(entries) do
  local id = field(entry, 'f')
  if id then redis.call('UNLINK', ARGV[2] .. id) end
  redis.call('ZREM', KEYS[2], ARGV[3] .. ' ' .. entry[1])
  redis.call('XDEL', KEYS[1], entry[1])
end
return #entries
