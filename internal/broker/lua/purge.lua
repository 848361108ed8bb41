-- purge.lua: deletes some entries of a dying queue, and their payload keys
-- KEYS 1 stream  q:<queue>|r:<queue>|x:<queue>|l:<queue>
-- KEYS 2 due  due
-- ARGV 1 count  most entries that are deleted
-- ARGV 2 payloads  prefix of payload keys
-- ARGV 3 queue  its name
-- reply deleted  entries that were deleted; 0: none is left
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])
for _, entry in ipairs(entries) do
  local id = field(entry, 'f')
  if id then redis.call('UNLINK', ARGV[2] .. id) end
  redis.call('ZREM', KEYS[2], ARGV[3] .. ' ' .. entry[1])
  redis.call('XDEL', KEYS[1], entry[1])
end
return #entries
