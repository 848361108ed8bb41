-- audit.lua: looks through a page of a stream for the entries of sources that a gather misses; reads only
-- KEYS 1 stream   q:, r:, x: or l:<queue>
-- KEYS 2 workers  zset of the live workers
-- ARGV 1 from     id to begin with, - for the first, (id for the one behind
-- ARGV 2 count    at most so many entries
-- ARGV 3 gather   the consumer where the queue is gathered, '' where workers read it
-- ARGV 4+ gap     for each source: its name in this queue, the lowest offset that is missing
-- reply: {the last id, '' where the page is the last, then for each entry of these sources that ends behind the offset: source, first, n, id, 'waits'|'held'|'stray' (delivered, and in no slot)}
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

local entries = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])
local reply = {#entries == tonumber(ARGV[2]) and entries[#entries][1] or ''}
for _, entry in ipairs(entries) do
  local source, first, n = field(entry, 's'), tonumber(field(entry, 'o')), tonumber(field(entry, 'n'))
  if source and gaps[source] and first and n and first + n > gaps[source] then
    reply[#reply + 1] = source
    reply[#reply + 1] = first
    reply[#reply + 1] = n
    reply[#reply + 1] = entry[1]
    reply[#reply + 1] = first <= gaps[source] and state(entry[1]) or ''
  end
end
return reply
