-- reclaim.lua: puts back what a dead or leaving worker holds of a stream
-- KEYS 1 stream    q:<queue>, r:<queue> or x:<queue>
-- KEYS 2 returns   r:<queue>, where it goes
-- KEYS 3 suspects  x:<queue>, where it goes with many crashes
-- ARGV 1 consumer  the worker
-- ARGV 2 count     at most so many entries
-- ARGV 3 crashes   what to add to their count of crashes
-- ARGV 4 many      crashes that make an entry a suspect
-- reply: entries put back; fewer than count when nothing is left
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('XACK', KEYS[1], 'w', '0-0') -- who may not take out must not put in; and one that has begun may add where the memory is full
redis.call('XDEL', KEYS[1], '0-0')
local pending = redis.call('XPENDING', KEYS[1], 'w', '-', '+', ARGV[2], ARGV[1])
for _, row in ipairs(pending) do
  local entry = redis.call('XRANGE', KEYS[1], row[1], row[1])[1]
  if entry then
    local crashes = (tonumber(field(entry, 'k')) or 0) + tonumber(ARGV[3])
    local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
    put_back(KEYS[2], KEYS[3], crashes >= tonumber(ARGV[4]), field(entry, 's') or '', field(entry, 'o') or 0,
      field(entry, 'n') or 0, field(entry, 'a') or 0, crashes, kind, field(entry, kind) or '')
  end
  redis.call('XACK', KEYS[1], 'w', row[1])
  redis.call('XDEL', KEYS[1], row[1])
end
if #pending < tonumber(ARGV[2]) then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'w', ARGV[1]) end
return #pending
