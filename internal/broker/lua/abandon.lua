-- abandon.lua: ends a source where it stands, since its maker gives it up, and tells the gathers
-- KEYS 1 source  s:<source>
-- KEYS 2 watch   watch:<queue>, mailboxes of its gathers
-- ARGV 1 source  its name
-- ARGV 2 epoch   of the source, as its maker was told
-- ARGV 3 cause   why, for the gathers
-- reply: 'ok'|'gone'|'fenced'
local source = redis.call('HMGET', KEYS[1], 'epoch', 'stored', 'end')
if not source[1] then return 'gone' end
if source[1] ~= ARGV[2] then return 'fenced' end
if tonumber(source[3]) < 0 then
  redis.call('HSET', KEYS[1], 'end', source[2], 'cut', ARGV[3])
end
for _, mailbox in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  tell(mailbox, 'end', ARGV[1])
end
return 'ok'
