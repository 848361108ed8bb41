-- cleaned.lua: notes the finished clean-ups of processes that were declared dead
-- KEYS 1 fenced   hash of the processes that were declared dead
-- ARGV 1+ process its mark, its entry as it was seen, and the entry that replaces it, '': it is removed
-- reply: processes whose entry is another one now: they have joined again
local changed = 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then
    changed = changed + 1
  elseif ARGV[i + 2] == '' then
    redis.call('HDEL', KEYS[1], ARGV[i])
  else
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
  end
end
return changed
