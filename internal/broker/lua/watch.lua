-- watch.lua: what a gather has to wait for: the sources of a root queue
-- KEYS 1 meta      m:<root queue>
-- KEYS 2 sources   src:<root queue>
-- KEYS 3 watch     watch:<root queue>
-- ARGV 1 mailbox   to tell when a source begins or ends
-- ARGV 2 prefix    of source keys
-- ARGV 3 queue     that is gathered; from now on the window counts
-- reply: {'gone'|'open'|'sealed', then for each source: name, stored, end (-1: not yet), why it was given up and why a named one is away ('': it was or is not), 1 where it is named, its gaps}
local meta = redis.call('HMGET', KEYS[1], 'sealed', 'dying')
if not meta[1] or meta[2] then return {'gone'} end
redis.call('SREM', KEYS[3], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('PEXPIRE', ARGV[1], 600000) -- of a gather that dies, it goes by itself
local reply = {meta[1] == '1' and 'sealed' or 'open'}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local source = redis.call('HMGET', ARGV[2] .. name, 'stored', 'end', 'cut', 'away', 'named', 'gaps')
  if source[1] then
    redis.call('HSETNX', ARGV[2] .. name, 'g:' .. ARGV[3], 0)
    reply[#reply + 1] = name
    reply[#reply + 1] = tonumber(source[1])
    reply[#reply + 1] = tonumber(source[2])
    reply[#reply + 1] = source[3] or ''
    reply[#reply + 1] = source[4] or ''
    reply[#reply + 1] = tonumber(source[5] or 0)
    reply[#reply + 1] = source[6] or ''
  end
end
return reply
