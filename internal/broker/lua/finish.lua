-- finish.lua: ends a source behind its last item and tells the gathers
-- KEYS 1 source  s:<source>
-- KEYS 2 watch  watch:<queue>  mailboxes of its gathers
-- KEYS 3 meta  m:<queue>
-- KEYS 4 stream  q:<queue>
-- KEYS 5 sources  src:<queue>
-- ARGV 1 source  its name
-- ARGV 2 epoch  of the source, as its maker was told
-- ARGV 3 end  the offset behind the last item
-- ARGV 4 inc  incarnation of the queue
-- ARGV 5 lost  JSON of the failure of items that Redis has lost
-- ARGV 6 holds  prefix of the keys holds:<executor>
-- reply status
-- word ok  the source has ended there
-- word gone  the source or its queue is gone: the source may be delivered and forgotten
-- word fenced  the source has a successor, or has stored items behind the end
local source = redis.call('HMGET', KEYS[1], 'epoch', 'stored', 'end', 'inc', 'by')
local meta = redis.call('HMGET', KEYS[3], 'inc', 'dying', 'items', 'bytes', 'ring')
if not source[1] or source[4] ~= ARGV[4] or meta[1] ~= ARGV[4] or meta[2] then return 'gone' end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
local stored, last = tonumber(source[2]), tonumber(ARGV[3])
if source[1] ~= ARGV[2] or stored > last then return 'fenced' end
if source[3] == ARGV[3] then return 'ok' end
local queue = tally(KEYS[4], KEYS[3], meta[3], meta[4])
if stored < last then add(queue, ARGV[1], stored, last - stored, 0, now_ms(), 'e', ARGV[5]) end
post(queue)
if stored < last then
  local prefix, name = string.match(KEYS[3], '^({[^}]*}:)m:(.*)$')
  announce(prefix, name, meta[5], true)
end
redis.call('HSET', KEYS[1], 'stored', last, 'end', last)
drop_hold(ARGV[6], source[5], ARGV[1])
note_change(KEYS[3], KEYS[5], ARGV[1])
notify(KEYS[2], 'end', ARGV[1])
return 'ok'
