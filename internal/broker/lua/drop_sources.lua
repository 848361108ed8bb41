-- drop_sources.lua: deletes some sources of a dying queue, with their marks in its leaves
-- KEYS 1 meta  m:<queue>
-- KEYS 2 sources  src:<queue>
-- ARGV 1 prefix  of all keys
-- ARGV 2 queue  its name
-- ARGV 3 count  most sources that are deleted
-- reply deleted  sources that were deleted; 0: none is left
local leaves = redis.call('HGET', KEYS[1], 'leaves') or ARGV[2]
local names = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[3]) - 1)
for _, name in ipairs(names) do
  drop_hold(ARGV[1] .. 'holds:', redis.call('HGET', ARGV[1] .. 's:' .. name, 'by'), name)
  forget_source(ARGV[1], ARGV[2], leaves, name)
end
return #names
