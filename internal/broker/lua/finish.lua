-- finish.lua: ends a source behind its last item and tells the gathers
-- KEYS 1 source  s:<source>
-- KEYS 2 watch   watch:<queue>, mailboxes of its gathers
-- ARGV 1 source  its name
-- ARGV 2 epoch   of the source, as its maker was told
-- ARGV 3 end     the offset behind the last item
-- reply: 'ok'|'gone'|'fenced'|'short' (less is stored than that)
local source = redis.call('HMGET', KEYS[1], 'epoch', 'stored', 'end')
if not source[1] then return 'gone' end
if source[1] ~= ARGV[2] then return 'fenced' end
if source[2] ~= ARGV[3] then return 'short' end
redis.call('HSET', KEYS[1], 'end', ARGV[3])
for _, mailbox in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  tell(mailbox, 'end', ARGV[1])
end
return 'ok'
