-- collect_requeued.lua: moves requeued entries to the end of a queue that is gathered: a gather
--   reads no other stream
-- KEYS 1 meta  m:<queue>
-- KEYS 2 stream  q:<queue>
-- KEYS 3 requeued  r:<queue>|x:<queue>
-- ARGV 1 reader  incarnation of the queue and epoch of the gather, with a space between
-- ARGV 2 count  most entries that are moved
-- reply moved  entries that were moved; fewer than count: none is left, or another gather has the
--   queue
local meta = redis.call('HMGET', KEYS[1], 'inc', 'gepoch', 'items', 'bytes')
if (meta[1] or '') .. ' ' .. (meta[2] or '') ~= ARGV[1] or redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
redis.call('XACK', KEYS[3], 'w', '0-0') -- a script that has begun to delete may add, also where the memory is full
local queue = tally(KEYS[2], KEYS[1], meta[3], meta[4])
local entries = redis.call('XRANGE', KEYS[3], '-', '+', 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
  local data = field(entry, kind) or ''
  add(queue, field(entry, 's') or '', field(entry, 'o') or 0, tonumber(field(entry, 'n')) or 0, #data,
    stamp_of(entry), kind, data, tonumber(field(entry, 'i')))
  redis.call('XACK', KEYS[3], 'w', entry[1])
  redis.call('XDEL', KEYS[3], entry[1])
end
post(queue)
return #entries
