-- source.lua: makes a source, or takes over the one of that name; its previous owner is fenced
-- KEYS 1 source   s:<source>
-- KEYS 2 meta     m:<queue>
-- KEYS 3 sources  src:<queue>, the queue's sources by the number of their last change
-- KEYS 4 watch    watch:<queue>, mailboxes of its gathers
-- KEYS 5 executors zset of the live executors
-- KEYS 6 named     named:<queue>, the named sources that have ended and are delivered: where they ended
-- ARGV 1 source   its name
-- ARGV 2 queue    that it feeds
-- ARGV 3 inc      the queue's incarnation
-- ARGV 4 seal     1 where no other source can join after it
-- ARGV 5 by       the executor that it goes with, '' for none
-- ARGV 6 named    1 where it outlives its executor
-- ARGV 7 prefix   of the sets of keys that executors hold
-- ARGV 8 claim    random text of this call, by which abandon.lua knows the source if this reply is lost
-- ARGV 9 keep     the format of the items, where each is kept until it is delivered; '': they are not
-- reply: {'ok'|'gone'|'sealed'|'elsewhere'|'ended'|'fenced' (the executor), epoch, stored}
local meta = redis.call('HMGET', KEYS[2], 'inc', 'sealed', 'dying', 'epochs')
if meta[1] ~= ARGV[3] or meta[3] then return {'gone', 0, 0} end
local delivered = redis.call('HGET', KEYS[6], ARGV[1])
if delivered then return {'ended', 0, tonumber(delivered)} end
local old = redis.call('HMGET', KEYS[1], 'queue', 'stored', 'end', 'epoch', 'by')
if old[1] and old[1] ~= ARGV[2] then return {'elsewhere', 0, 0} end
if old[1] and tonumber(old[3]) >= 0 then return {'ended', 0, tonumber(old[2])} end
if ARGV[5] ~= '' and not redis.call('ZSCORE', KEYS[5], ARGV[5]) then return {'fenced', 0, 0} end
if not old[1] then
  if meta[2] == '1' then return {'sealed', 0, 0} end
  redis.call('HSET', KEYS[1], 'queue', ARGV[2], 'inc', ARGV[3], 'stored', 0, 'end', -1)
end
drop_hold(ARGV[7], old[5], ARGV[1])
redis.call('HSET', KEYS[1], 'by', ARGV[5], 'claim', ARGV[8])
if ARGV[5] ~= '' then redis.call('SADD', ARGV[7] .. ARGV[5], ARGV[1]) end
redis.call('HDEL', KEYS[1], 'away')
if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'named', 1) end
if ARGV[9] ~= '' then redis.call('HSET', KEYS[1], 'keep', ARGV[9]) end
if ARGV[4] == '1' then redis.call('HSET', KEYS[2], 'sealed', 1) end
note_change(KEYS[2], KEYS[3], ARGV[1])
notify(KEYS[4], 'source', ARGV[1])
local epoch = math.max(tonumber(meta[4] or 0), tonumber(old[4] or 0)) + 1 -- one that was given is not given again, also not to a source that is made anew
redis.call('HSET', KEYS[1], 'epoch', epoch)
redis.call('HSET', KEYS[2], 'epochs', epoch)
return {'ok', epoch, tonumber(old[2] or 0)}
