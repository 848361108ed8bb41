-- fence.lua: declares a process dead, unless it has beaten since it was looked at
-- KEYS 1 registry  zset workers or executors
-- KEYS 2 card      hash w:<id> or e:<id>
-- KEYS 3 mailbox   p:<id>
-- KEYS 4 fenced    hash of the processes that were declared dead: when, in ms
-- ARGV 1 id        of the process
-- ARGV 2 beat      its last one, as it was seen
-- ARGV 3 mark      w:<id> or e:<id>
-- reply: 1 where it is fenced now
local beat = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not beat or tonumber(beat) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[4], ARGV[3], now_ms())
return 1
