-- requeue_stray.lua: puts back an entry that was delivered and is in no slot, and those behind it
--   that are pending with no consumer
-- KEYS 1 stream  q:<queue>|r:<queue>|x:<queue>
-- KEYS 2 back  r:<queue>|x:<queue>  x: for an entry of x:
-- KEYS 3 workers  workers
-- ARGV 1 from  its id, or (id to go on behind that
-- ARGV 2 count  most entries that the call looks at
-- ARGV 3 gather  id of the gather, for the queue that it gathers: it gets the entries; empty for a
--   queue that workers read
-- reply [moved, last]
-- field moved  entries that were put back
-- field last  id to go on behind; empty at the end
-- error NOGROUP  the stream has lost its group
if redis.call('EXISTS', KEYS[1]) == 0 then return {0, ''} end
redis.call('XACK', KEYS[1], 'w', '0-0') -- a script that has begun to delete may add, also where the memory is full
local last = delivered(KEYS[1])

local function is_stray(id)
  local pending = redis.call('XPENDING', KEYS[1], 'w', id, id, 1)[1]
  if not pending or id ~= ARGV[1] then return not pending end
  if ARGV[3] ~= '' then return pending[2] ~= ARGV[3] end
  return not redis.call('ZSCORE', KEYS[3], pending[2])
end

local function rescue(entry)
  if ARGV[3] ~= '' then
    redis.call('XCLAIM', KEYS[1], 'w', ARGV[3], 0, entry[1], 'FORCE', 'JUSTID')
    return
  end
  local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
  put_back(KEYS[2], nil, false, field(entry, 's') or '', field(entry, 'o') or 0, field(entry, 'n') or 0,
    field(entry, 'a') or 0, field(entry, 'k') or 0, stamp_of(entry), kind, field(entry, kind) or '', nil, field(entry, 'd'), field(entry, 'i'))
  redis.call('XACK', KEYS[1], 'w', entry[1])
  redis.call('XDEL', KEYS[1], entry[1])
end

-- ring announces the queue, to which entries were put back.
local function ring()
  local prefix, queue = string.match(KEYS[2], '^({[^}]*}:)%a:(.*)$')
  announce(prefix, queue, redis.call('HGET', prefix .. 'm:' .. queue, 'ring'))
end

local entries = redis.call('XRANGE', KEYS[1], ARGV[1], last, 'COUNT', ARGV[2])
local count = 0
for _, entry in ipairs(entries) do
  if is_stray(entry[1]) then
    rescue(entry)
    count = count + 1
  end
end
if count > 0 and ARGV[3] == '' then ring() end
return {count, #entries == tonumber(ARGV[2]) and entries[#entries][1] or ''}
