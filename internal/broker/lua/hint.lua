-- hint.lua: puts a hint into a mailbox, after the results of futures that it announces, also if the
--   memory is full
-- KEYS 1 mailbox  p:<id>
-- KEYS 2+ results  {f:<id of the future>}*
-- ARGV 1 kind  of the hint
-- ARGV 2 what  text of the hint
-- ARGV 3 lifetime  ms of a result
-- ARGV 4+ frames  {frame}*  for each result
-- field frame  batch of one item
-- reply set  number of results that were stored: the others have a value
redis.call('XDEL', KEYS[1], '0-0') -- a script that has begun to delete may add, also where the memory is full
local set = 0
for i = 2, #KEYS do
  if redis.call('SET', KEYS[i], ARGV[i + 2], 'NX', 'PX', ARGV[3]) then set = set + 1 end
end
tell(KEYS[1], ARGV[1], ARGV[2])
return set
