-- abandon.lua: gives up a source for its maker and tells the gathers
-- KEYS 1 source  s:<source>
-- KEYS 2 watch  watch:<queue>  mailboxes of its gathers
-- KEYS 3 meta  m:<queue>
-- KEYS 4 sources  src:<queue>
-- ARGV 1 source  its name
-- ARGV 2 epoch  of the source, as its maker was told; 0 if the reply of source.lua was lost
-- ARGV 3 cause  why, a text for the gathers
-- ARGV 4 inc  incarnation of the queue
-- ARGV 5 holds  prefix of the keys holds:<executor>
-- ARGV 6 claim  the claim that source.lua was given
-- reply status
-- word ok  the source is given up, or had ended before
-- word gone  the queue is gone or has another incarnation
-- word fenced  the source has a successor, or is delivered and forgotten
local source = redis.call('HMGET', KEYS[1], 'epoch', 'end', 'inc', 'by', 'claim', 'stored', 'named')
if redis.call('HGET', KEYS[3], 'inc') ~= ARGV[4] then return 'gone' end
if source[3] ~= ARGV[4] then return 'fenced' end -- it has ended, is delivered and forgotten
local unused = ARGV[2] == '0' and source[5] == ARGV[6] -- its maker does not know of it
if source[1] ~= ARGV[2] and not unused then return 'fenced' end
drop_hold(ARGV[5], source[4], ARGV[1])
if tonumber(source[2]) < 0 then
  if unused and source[6] == '0' and not source[7] then
    redis.call('HSET', KEYS[1], 'end', 0)
  else
    give_up(KEYS[1], ARGV[3])
  end
  note_change(KEYS[3], KEYS[4], ARGV[1])
end
notify(KEYS[2], 'end', ARGV[1])
return 'ok'
