-- reclaim.lua: puts back what a dead or leaving worker holds of a stream
-- KEYS 1 stream    q:<queue> or r:<queue>
-- KEYS 2 returns   r:<queue>, where it goes
-- ARGV 1 consumer  the worker
-- ARGV 2 count     at most so many entries
-- ARGV 3 crashes   what to add to their count of crashes
-- reply: entries put back; fewer than count when nothing is left
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local pending = redis.call('XPENDING', KEYS[1], 'w', '-', '+', ARGV[2], ARGV[1])
for _, row in ipairs(pending) do
  local entry = redis.call('XRANGE', KEYS[1], row[1], row[1])[1]
  redis.call('XACK', KEYS[1], 'w', row[1])
  if entry then
    local copy = {}
    for i, value in ipairs(entry[2]) do copy[i] = value end
    for i = 1, #copy, 2 do
      if copy[i] == 'k' then copy[i + 1] = tonumber(copy[i + 1]) + tonumber(ARGV[3]) end
    end
    redis.call('XADD', KEYS[2], '*', unpack(copy))
    redis.call('XDEL', KEYS[1], row[1])
  end
end
if #pending < tonumber(ARGV[2]) then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'w', ARGV[1]) end
return #pending
