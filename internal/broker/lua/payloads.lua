-- payloads.lua: lists the payloads of the entries of a page of a stream; reads only
-- KEYS 1 stream  q:<queue>|r:<queue>|x:<queue>|l:<queue>|dead
-- ARGV 1 from  id to begin with, - for the first, (id for the one behind
-- ARGV 2 count  most entries of the page
-- reply [last, {payload}*]
-- field last  id of the last entry of the page; empty: the page is the last
-- field payload  id of the payload of an entry
if redis.call('TYPE', KEYS[1]).ok ~= 'stream' then return {''} end
local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local reply = {#entries == tonumber(ARGV[2]) and entries[#entries][1] or ''}
for _, entry in ipairs(entries) do reply[#reply + 1] = field(entry, 'f') or nil end
return reply
