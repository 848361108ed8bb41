-- sweep.lua: forgets the state of leaves that are gone, which the sources of a root queue keep
-- KEYS 1 meta  m:<root queue>
-- KEYS 2 sources  src:<root queue>
-- ARGV 1 prefix  of all keys
-- ARGV 2 queue  the root queue
-- ARGV 3 after  number of the last change that was looked at, 0 to begin
-- ARGV 4 count  most sources that the call looks at
-- reply last  number of the last change that it looked at; empty at the end
redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
local leaves = redis.call('HGET', KEYS[1], 'leaves') or ARGV[2]
local rows = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
for i = 1, #rows, 2 do
  local key = ARGV[1] .. 's:' .. rows[i]
  local source, leaves = redis.call('HGETALL', key), leaves_of(leaves, rows[i])
  for k = 1, #source, 2 do
    if string.sub(source[k], 1, 2) == 'g:' and not has_leaf(leaves, string.sub(source[k], 3)) then redis.call('HDEL', key, source[k]) end
    if source[k] == 'wait' then tell(source[k + 1], 'room', ARGV[2]) end
  end
  forget_delivered(ARGV[1], ARGV[2], leaves, rows[i])
end
return #rows == 2 * tonumber(ARGV[4]) and rows[#rows] or ''
