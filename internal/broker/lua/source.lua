-- source.lua: makes a source, or takes over the one of that name; its previous owner is fenced
-- KEYS 1 source  s:<source>
-- KEYS 2 meta  m:<queue>
-- KEYS 3 sources  src:<queue>
-- KEYS 4 watch  watch:<queue>  mailboxes of its gathers
-- KEYS 5 executors  executors
-- KEYS 6 named  named:<queue>
-- ARGV 1 source  its name; <source>@<queue> if its results go to its private queue of that name
-- ARGV 2 queue  that it feeds
-- ARGV 3 inc  incarnation of the queue
-- ARGV 4 seal  1 if no other source can join after it, otherwise 0
-- ARGV 5 by  the executor that it goes with; empty for none
-- ARGV 6 named  1 if it outlives its executor, otherwise 0
-- ARGV 7 holds  prefix of the keys holds:<executor>
-- ARGV 8 claim  random text of this call, by which abandon.lua knows the source if this reply is
--   lost
-- ARGV 9 keep  type and codec of the items, if each is kept until it is delivered; empty: they are
--   not
-- reply [status, epoch, stored]
-- field epoch  of the source; 0 unless ok
-- field stored  offset at which the source goes on, or ended; 0 unless ok or ended
-- word ok  the caller has the source
-- word gone  the queue is gone, is being deleted, or has another incarnation
-- word sealed  no source can join
-- word branched  its results cannot go to a private queue: the flow has another end
-- word elsewhere  a source of that name feeds another queue
-- word ended  it has ended, at stored
-- word fenced  the executor is not in the registry
local meta = redis.call('HMGET', KEYS[2], 'inc', 'sealed', 'dying', 'epochs')
if meta[1] ~= ARGV[3] or meta[3] then return {'gone', 0, 0} end
local delivered = redis.call('HGET', KEYS[6], ARGV[1])
if delivered then return {'ended', 0, tonumber(delivered)} end
local old = redis.call('HMGET', KEYS[1], 'queue', 'stored', 'end', 'epoch', 'by')
if old[1] and old[1] ~= ARGV[2] then return {'elsewhere', 0, 0} end
if old[1] and tonumber(old[3]) >= 0 then return {'ended', 0, tonumber(old[2])} end
if ARGV[5] ~= '' and not redis.call('ZSCORE', KEYS[5], ARGV[5]) then return {'fenced', 0, 0} end
if not old[1] and meta[2] == '1' then return {'sealed', 0, 0} end
local last, private = private_of(ARGV[1])
if last then
  local leaves = redis.call('HGET', KEYS[2], 'leaves')
  for leaf in string.gmatch(leaves or ARGV[2], '([^%s~]+)%S*') do
    if leaf ~= last then return {'branched', 0, 0} end
  end
  local place = redis.call('HMGET', string.sub(KEYS[2], 1, -#ARGV[2] - 1) .. private, 'inc', 'dying')
  if not place[1] or place[2] then return {'gone', 0, 0} end
end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
if not old[1] then
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
