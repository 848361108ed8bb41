-- drop_sources.lua: deletes some sources of a dying queue, with their marks in its leaves, or the source
--   whose private queue it is
-- KEYS 1 meta  m:<queue>
-- KEYS 2 sources  src:<queue>
-- ARGV 1 prefix  of all keys
-- ARGV 2 queue  its name
-- ARGV 3 count  most sources that are deleted
-- reply deleted  sources that were deleted; 0: none is left
local leaves = redis.call('HGET', KEYS[1], 'leaves') or ARGV[2]
local names, gone = redis.call('ZRANGE', KEYS[2], 0, tonumber(ARGV[3]) - 1), {}
for _, name in ipairs(names) do
  gone[name] = true
  drop_hold(ARGV[1] .. 'holds:', redis.call('HGET', ARGV[1] .. 's:' .. name, 'by'), name)
  forget_source(ARGV[1], ARGV[2], leaves_of(leaves, name), name)
end
forget_private(ARGV[1], redis.call('HGET', KEYS[1], 'flow'), ARGV[2])
for queue in string.gmatch(leaves, '([^%s~]+)%S*') do
  local marks = redis.call('HGETALL', ARGV[1] .. 'd:' .. queue)
  for i = 1, #marks, 2 do -- of children
    if string.find(marks[i], '/', 1, true) and gone[string.match(marks[i], '^[^~/]+')] then redis.call('HDEL', ARGV[1] .. 'd:' .. queue, marks[i]) end
  end
end
return #names
