-- seal.lua: closes a queue to further sources and tells the gathers
-- KEYS 1 meta  m:<queue>
-- KEYS 2 watch  watch:<queue>  mailboxes of its gathers
-- ARGV 1 queue  its name
-- reply status
-- word ok  no source can join
-- word gone  there is no such queue
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('HSET', KEYS[1], 'sealed', 1)
notify(KEYS[2], 'end', ARGV[1])
return 'ok'
