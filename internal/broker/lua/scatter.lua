-- scatter.lua: stores the batches of a source that are ready, each once
-- KEYS 1 source  s:<source>
-- KEYS 2 meta  m:<queue>
-- KEYS 3 stream  q:<queue>
-- KEYS 4 wait  wait:<queue>  mailboxes to tell when there is room
-- KEYS 5 watch  watch:<queue>  mailboxes of its gathers
-- KEYS 6 sources  src:<queue>
-- KEYS 7+ payloads  {f:<id>}*  one for each batch of kind f
-- ARGV 1 source  its name
-- ARGV 2 epoch  of the source, as its maker was told
-- ARGV 3 inc  incarnation of the queue
-- ARGV 4 mailbox  key of the mailbox to tell when there is room
-- ARGV 5 window  items between scatter and gather; 0 for no bound, -n for a bound of n that counts
--   once a gather has begun
-- ARGV 6 lost  JSON of the failure of items that Redis has lost
-- ARGV 7 policy  without room: 'drop-newest' drops the batch, 'drop-oldest' drops entries that no
--   worker has read; with any other text the batches wait
-- ARGV 8 prefix  of all keys
-- ARGV 9+ batches  {first, n, size, trace, kind, data}*  for each batch, in the order of offsets
-- field first  first offset
-- field n  number of items
-- field size  bytes of the frame
-- field trace  that the spans of the batch link to, see the field t of entries; empty: none
-- field kind  p: data is the frame; f: data is the id of its payload; e: data is the JSON of a
--   failure of all the items
-- field data  see kind
-- reply [status, stored, room, cost, limit, delivered, dropped]
-- reply [status, stored, -1, 0]  for gone and fenced
-- field stored  offset up to which all is stored, or dropped by the policy
-- field room  items that have room now; -1: no bound
-- field cost  ns of an item at the dearest stage; 0: not known
-- field limit  most items of a batch; 0: no bound
-- field delivered  offset up to which all gathers have delivered; -1: there is no gather
-- field dropped  ranges of the batches of this call that the policy dropped, from-to with commas
--   between
-- word ok  all batches are stored
-- word full  the bound of the queue is reached: the batches behind stored wait
-- word window  the window is reached: the batches behind stored wait
-- word straddle  a batch begins below stored and ends above: it is cut at stored
-- word resend  the payload behind stored is not there: it is written again, and so are all payloads
--   behind it, which are deleted
-- word gone  the queue is gone, is being deleted, or has another incarnation
-- word fenced  the source has a successor, or is delivered and forgotten
local meta = redis.call('HMGET', KEYS[2], 'inc', 'dying', 'max', 'maxb', 'cost', 'limit', 'items', 'bytes', 'leaves', 'ring')
local source, low = read_source(KEYS[1], meta[9] and leaves_of(meta[9], ARGV[1]))
local stored = tonumber(source.stored or 0)
if meta[1] ~= ARGV[3] or meta[2] then return {'gone', stored, -1, 0} end
if source.inc ~= ARGV[3] then return {'fenced', stored, -1, 0} end -- it has ended, is delivered and forgotten
if source.epoch ~= ARGV[2] then return {'fenced', stored, -1, 0} end

local max, max_bytes = tonumber(meta[3]), tonumber(meta[4])
local queue = tally(KEYS[3], KEYS[2], meta[7], meta[8])
local items, bytes = 0, 0
if max > 0 or max_bytes > 0 then items, bytes = unread(KEYS[3], KEYS[2]) end
local policy = ARGV[7]
local window = tonumber(ARGV[5])
local reach = window_end(source, ARGV[8] .. 'gaps:' .. ARGV[1], low or 0, math.abs(window))
local limit = math.huge
if window > 0 or (window < 0 and low) then limit = reach end

-- crowded tells why a batch that ends there has no room, if it has none.
local function crowded(n, size, to)
  if items > 0 and ((max > 0 and items + n > max) or (max_bytes > 0 and bytes + size > max_bytes)) then return 'full' end
  if to > limit then return 'window' end
end

-- add_gap notes [from, to) of a source as dropped, in one range with the neighbors that it touches.
local function add_gap(name, from, to)
  local gaps = ARGV[8] .. 'gaps:' .. name
  local added = to - from
  local function join(neighbor)
    local a, b = string.match(neighbor or '', '(%d+)-(%d+)')
    if not a or tonumber(b) < from or tonumber(a) > to then return end
    redis.call('ZREM', gaps, neighbor)
    from, to = math.min(from, tonumber(a)), math.max(to, tonumber(b))
  end
  join(redis.call('ZREVRANGEBYSCORE', gaps, from, '-inf', 'LIMIT', 0, 1)[1])
  join(redis.call('ZRANGEBYSCORE', gaps, from, '+inf', 'LIMIT', 0, 1)[1])
  redis.call('ZADD', gaps, from, string.format('%d-%d', from, to))
  redis.call('HINCRBY', ARGV[8] .. 's:' .. name, 'dropped', added)
end

local dropped, begun = 0, stored
local own = {} -- ranges of the batches of this call that were dropped, also by an earlier run whose reply was lost
local earlier, ranges = string.match(source.drops or '', '^(%d+) (.+)$')
if earlier and earlier == ARGV[9] and tonumber(earlier) < stored then own[1] = ranges end

-- note stores the counts of the items that were added so far.
local noted = stored
local function note()
  post(queue)
  if stored > noted then redis.call('HSET', KEYS[1], 'stored', stored) end
  noted = stored
end

-- drop takes note of the items [from, to) of a source that no gather will get.
local function drop(name, from, to)
  add_gap(name, from, to)
  note_change(KEYS[2], KEYS[6], name)
  dropped = dropped + to - from
  if name ~= ARGV[1] then return end
  limit = limit + to - from
  if from >= begun then own[#own + 1] = string.format('%d-%d', from, to) end
end

-- evict drops the entry that is to be read next. It tells whether there was one;
-- for room in the window, one of this source.
local function evict(why)
  note()
  local _, _, first = unread(KEYS[3], KEYS[2])
  if not first then return false end
  local name, from, n, payload = field(first, 's'), tonumber(field(first, 'o')), tonumber(field(first, 'n')), field(first, 'f')
  if why == 'window' and name ~= ARGV[1] then return false end
  redis.call('XDEL', KEYS[3], first[1])
  if payload then redis.call('UNLINK', ARGV[8] .. 'f:' .. payload) end
  if name and from and n and redis.call('EXISTS', ARGV[8] .. 's:' .. name) == 1 then drop(name, from, from + n) end
  items, bytes = unread(KEYS[3], KEYS[2])
  return true
end

-- keep copies a batch, for failures of its items. An earlier call may have kept it that could not store it.
local function keep(first, n, kind, data, payload)
  if kind == 'f' then data = redis.call('GET', payload) end
  local kept = redis.pcall('XADD', ARGV[8] .. 'in:' .. ARGV[1], string.format('%d-0', first + n), 'n', n, 'p', data)
  if type(kept) == 'table' and kept.err and not string.find(kept.err, 'equal or smaller', 1, true) then error(kept) end
end

-- The memory may be full. A batch whose payload is there needs none: a script that has begun to delete may add.
if #KEYS > 6 and redis.call('EXISTS', unpack(KEYS, 7)) > 0 then redis.call('HDEL', KEYS[1], '') end

local status = 'ok'
local now = now_ms()
local narrow = false -- something came beyond the window
local key = 7

-- store takes the batches, until one has to wait.
local function store()
  for i = 9, #ARGV, 6 do
    local first, n, size = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local trace, kind, data = ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
    local payload = nil
    if kind == 'f' then
      payload = KEYS[key]
      key = key + 1
    end
    if first + n > stored then
      local why = crowded(n, size, first + n)
      narrow = narrow or why == 'window'
      if first < stored then
        status = 'straddle'
      elseif payload and redis.call('EXISTS', payload) == 0 then
        status = 'resend'
      else
        while why and policy == 'drop-oldest' and evict(why) do why = crowded(n, size, first + n) end
        if why and policy ~= 'drop-oldest' and policy ~= 'drop-newest' then status = why end
      end
      if status == 'resend' then -- payloads that wait for memory must not fill it
        for k = key, #KEYS do drop_unstored(KEYS[k]) end
      end
      if status ~= 'ok' then return end
      if first > stored then
        for at = stored, first - 1, 16777216 do -- items that a batch may claim
          local n = math.min(first - at, 16777216)
          add(queue, ARGV[1], at, n, 0, now, 'e', ARGV[6])
          stored = at + n
        end
      end
      if source.keep and kind ~= 'e' then keep(first, n, kind, data, payload) end
      if why then
        drop(ARGV[1], first, first + n)
        if payload then redis.call('UNLINK', payload) end
      else
        add(queue, ARGV[1], first, n, size, trace == '' and now or now .. ' ' .. trace, kind, data)
        if payload then redis.call('PERSIST', payload) end
        items, bytes = items + n, bytes + size
      end
      stored = first + n
    elseif payload then -- a repeated call has written it again
      drop_unstored(payload)
    end
  end
end

local done, failure = pcall(store)
note()
if not done then return type(failure) == 'table' and failure or redis.error_reply(tostring(failure)) end
if window ~= 0 and stored > reach then -- workers have to look at the window too
  redis.call('HSET', KEYS[1], 'window', math.abs(window))
  redis.call('HSET', KEYS[2], 'ahead', 1)
end
if stored > begun then announce(ARGV[8], string.sub(KEYS[2], #ARGV[8] + 3), meta[10], queue.entries == 1) end
if status == 'full' then redis.call('SADD', KEYS[4], ARGV[4]) end
if narrow then redis.call('HSET', KEYS[1], 'wait', ARGV[4]) end
local drops = table.concat(own, ',')
if dropped > 0 then
  redis.call('HINCRBY', KEYS[2], 'dropped', dropped)
  if drops ~= '' then redis.call('HSET', KEYS[1], 'drops', ARGV[9] .. ' ' .. drops) end
  notify(KEYS[5], 'end', ARGV[1])
end
local room = limit - stored
if max > 0 then room = math.min(room, max - items) end
if room == math.huge or policy == 'drop-oldest' then room = -1 else room = math.max(room, 0) end
return {status, stored, room, tonumber(meta[5] or 0), tonumber(meta[6] or 0), low or -1, drops}
