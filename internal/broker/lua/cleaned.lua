-- cleaned.lua: notes the finished clean-ups of processes that were declared dead
-- KEYS 1 fenced  fenced
-- ARGV 1+ processes  {mark, entry, next}*  for each process
-- field mark  w:<id> or e:<id>
-- field entry  its field of fenced, as it was read
-- field next  the text that replaces it; empty: the field is removed
-- reply changed  processes whose field is another one now: they have joined again, or another
--   watcher was first
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
