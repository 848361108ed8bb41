-- discard.lua: deletes payloads that no entry has: those whose lifetime no script has taken off
-- KEYS 1+ payloads  {f:<id>}*
-- reply deleted  number of payloads that were deleted
local deleted = 0
for _, payload in ipairs(KEYS) do
  if redis.call('PTTL', payload) >= 0 then deleted = deleted + redis.call('UNLINK', payload) end
end
return deleted
