-- audit.lua: looks through a page of a stream for the entries of sources that a gather misses;
--   reads only
-- KEYS 1 stream  q:<queue>|r:<queue>|x:<queue>|l:<queue>
-- KEYS 2 workers  workers
-- ARGV 1 from  id to begin with, - for the first, (id for the one behind
-- ARGV 2 count  most entries of the page
-- ARGV 3 gather  id of the gather, for the queue that it gathers; empty for a queue that workers
--   read
-- ARGV 4+ gaps  {source, offset}*  for each source that misses an offset
-- field source  its name in this queue; a child of it at the offset counts as the offset
-- field offset  lowest offset that is missing
-- reply [last, {source, first, n, id, state}*]  the entries of these sources that end behind the
--   offset
-- field last  id of the last entry of the page; empty: the page is the last
-- field first  first offset of the entry
-- field n  its number of items
-- field id  its id
-- field state  one of the words; empty for an entry that begins behind the offset
-- word waits  no consumer has read the entry
-- word held  it is pending with the gather, or with a live worker
-- word stray  it was delivered, and no live consumer has it
-- error NOGROUP  the stream has lost its group
if redis.call('EXISTS', KEYS[1]) == 0 then return {''} end
local gaps = {}
for i = 4, #ARGV, 2 do gaps[ARGV[i]] = tonumber(ARGV[i + 1]) end
local last = delivered(KEYS[1])

local function state(id)
  if is_behind(id, last) then return 'waits' end
  local pending = redis.call('XPENDING', KEYS[1], 'w', id, id, 1)[1]
  if not pending then return 'stray' end
  if ARGV[3] ~= '' then return pending[2] == ARGV[3] and 'held' or 'stray' end
  return redis.call('ZSCORE', KEYS[2], pending[2]) and 'held' or 'stray'
end

-- misses returns the source that misses an offset, among a source and those that it is a child of, and
-- which of its offsets an entry has.
local function misses(source, first, n)
  while source do
    if gaps[source] then return source, first, n end
    local head, at, branch = string.match(source, '^(.*)/(%d+)%.%d+([^/]*)$')
    source, first, n = head and head .. branch, tonumber(at), 1
  end
end

local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local reply = {#entries == tonumber(ARGV[2]) and entries[#entries][1] or ''}
for _, entry in ipairs(entries) do
  local source, first, n = field(entry, 's'), tonumber(field(entry, 'o')), tonumber(field(entry, 'n'))
  if source and first and n then source, first, n = misses(source, first, n) end
  if source and first and n and first + n > gaps[source] then
    reply[#reply + 1] = source
    reply[#reply + 1] = first
    reply[#reply + 1] = n
    reply[#reply + 1] = entry[1]
    reply[#reply + 1] = first <= gaps[source] and state(entry[1]) or ''
  end
end
return reply
