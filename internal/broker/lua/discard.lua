-- discard.lua: deletes payloads that no entry has: those whose lifetime no script has taken off
-- KEYS 1+ payloads  {f:<id>}*
-- reply deleted  number of payloads that were deleted
local deleted = 0
for _, payload in ipairs(KEYS) do
  deleted = deleted + drop_unstored(payload)
end
return deleted
