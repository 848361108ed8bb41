-- complete.lua: replaces each finished entry by its outputs and remainders, if it is still there:
--   first finisher wins
-- KEYS 1 due  due
-- KEYS 2 dead  dead
-- KEYS 3+ entries  {q:<in>|r:<in>|x:<in>, m:<in>, r:<in>, x:<in>, l:<in>, {f:<old>}*, {q:<out>,
--   m:<out>}*, {m:<bypassed>}*, {f:<new>}*}*  for each entry: its stream and queue, its old
--   payloads, each out, each queue that was passed by, the payloads of outs and remainders of kind
--   f in their order
-- ARGV 1 payloads  prefix of payload keys, the prefix of all keys and f:
-- ARGV 2 many  crashes that make an entry a suspect
-- ARGV 3 most  dead letters that are kept
-- ARGV 4 taker  consumer that takes the next entry of the out-queue of the only entry; empty: none
-- ARGV 5+ entries  {id, inc, cost, growth, crashes, source, stamp, queue, why, olds, outs, bys,
--   remainders, {out_inc, out_source, first, n, count, size, kind, data}*, {by_inc, n, count}*, {child,
--   attempts, delay, first, n, count, size, kind, data}*}*  for each entry: thirteen arguments, then
--   eight for each out, three for each queue passed by, nine for each remainder
-- field id  of the entry in its stream
-- field inc  incarnation of the in-queue
-- field cost  ns of an item as measured, 0: not measured
-- field growth  items for the out-queue from an item of the entry, as measured; 1: as many
-- field crashes  of the remainders
-- field source  of the entry, and of its remainders that name no child
-- field child  source of the remainder, if it is one of the children of that of the entry; empty: it is
--   that of the entry
-- field stamp  the field t of the entry; empty: it has none
-- field queue  name of the in-queue
-- field why  JSON of the failure that makes the entry a dead letter; empty: it becomes none
-- field olds  number of old payloads, which are deleted
-- field outs  number of outs
-- field bys  number of queues passed by
-- field remainders  number of remainders
-- field out_inc  incarnation of the out-queue
-- field out_source  name of the source in the out-queue
-- field first  first offset
-- field n  number of offsets; of those that went past a queue
-- field count  number of items; empty: n
-- field size  bytes of the frame
-- field kind  p: data is the frame; f: data is the id of its payload; e: data is the JSON of a
--   failure of all the items
-- field data  see kind
-- field by_inc  incarnation of the queue passed by
-- field attempts  calls of the function that failed, for each item of the remainder
-- field delay  ms until the remainder is due; 0: it is requeued at once
-- reply [{status}*]  one status for each entry, in their order
-- reply [{status}*, taken]  with a taker, if the first status is ok
-- field status  one of the words, or 'ERR <text>' with the error of a command that failed for this
--   entry alone
-- field taken  list of at most one entry
-- word ok  the entry is replaced
-- word lost  another worker has finished it, or its queue was purged
-- word gone  the in-queue is gone, is being deleted, or has another incarnation
-- word noout  that holds for an out-queue or a queue passed by; the entry is still pending
-- word resend  a new payload is not there, and the others of the entry are deleted; the entry is still
--   pending

-- read returns the entry whose keys come behind KEYS[k] and whose arguments come
-- behind ARGV[a], and the k and a of the next entry.
local function read(k, a)
  local e = {
    stream = KEYS[k + 1], meta = KEYS[k + 2], returns = KEYS[k + 3], suspects = KEYS[k + 4], delayed = KEYS[k + 5],
    id = ARGV[a + 1], inc = ARGV[a + 2], cost = tonumber(ARGV[a + 3]), growth = tonumber(ARGV[a + 4]),
    crashes = tonumber(ARGV[a + 5]), source = ARGV[a + 6], stamp = ARGV[a + 7], queue = ARGV[a + 8], why = ARGV[a + 9],
    old = {}, outs = {}, passed = {}, rests = {}, payloads = {},
  }
  local old, outs, passed, rests = tonumber(ARGV[a + 10]), tonumber(ARGV[a + 11]), tonumber(ARGV[a + 12]), tonumber(ARGV[a + 13])
  if e.stamp == '' then e.stamp = string.match(e.id, '^%d+') end
  k, a = k + 5, a + 13
  for i = 1, old do e.old[i] = KEYS[k + i] end
  k = k + old
  for i = 1, outs do
    e.outs[i] = {
      stream = KEYS[k + 1], meta = KEYS[k + 2], inc = ARGV[a + 1], source = ARGV[a + 2],
      first = ARGV[a + 3], n = ARGV[a + 4], count = tonumber(ARGV[a + 5]), size = ARGV[a + 6], kind = ARGV[a + 7],
      data = ARGV[a + 8],
    }
    k, a = k + 2, a + 8
  end
  for i = 1, passed do
    e.passed[i] = {meta = KEYS[k + 1], inc = ARGV[a + 1], n = tonumber(ARGV[a + 2]), count = tonumber(ARGV[a + 3])}
    k, a = k + 1, a + 3
  end
  for i = 1, rests do
    e.rests[i] = {
      source = ARGV[a + 1] ~= '' and ARGV[a + 1] or e.source, attempts = ARGV[a + 2], delay = tonumber(ARGV[a + 3]),
      first = ARGV[a + 4], n = ARGV[a + 5], count = tonumber(ARGV[a + 6]), size = ARGV[a + 7], kind = ARGV[a + 8],
      data = ARGV[a + 9],
    }
    a = a + 9
  end
  for _, list in ipairs({e.outs, e.rests}) do
    for _, part in ipairs(list) do
      if part.kind == 'f' then
        k = k + 1
        part.payload, e.payloads[#e.payloads + 1] = KEYS[k], KEYS[k]
      end
    end
  end
  return e, k, a
end

-- queues are those of the entries, as far as they were looked at: the fields of
-- their metas, and the changes that are written at the end.
local queues = {}

local prefix = string.sub(ARGV[1], 1, -3)

local function queue(meta)
  local q = queues[meta]
  if not q then
    local at = redis.call('HMGET', meta, 'inc', 'dying', 'items', 'bytes', 'cost', 'ring')
    q = {
      meta = meta, inc = not at[2] and at[1], cost = tonumber(at[5]) or 0, measured = 0, passed = 0,
      items = tonumber(at[3]) or 0, bytes = tonumber(at[4]) or 0, n = 0, ring = at[6],
    }
    queues[meta] = q
  end
  return q
end

-- added are the metas of queues that got entries, each once.
local added = {}

-- freed are the metas of limited queues in which a place is free.
local freed = {}

local function note_added(meta)
  local q = queue(meta)
  if not q.added then
    q.added, added[#added + 1] = true, meta
  end
end

-- place returns the queue that gets an out, if it is the private queue of its source.
local function place(out)
  local last, private = private_of(out.source)
  if not last or out.meta ~= prefix .. 'm:' .. last then return nil end
  local q = queue(prefix .. 'm:' .. private)
  q.stream = prefix .. 'q:' .. private
  return q
end

local function check(e)
  if queue(e.meta).inc ~= e.inc then return 'gone' end
  for _, out in ipairs(e.outs) do
    local q = queue(out.meta)
    if q.inc ~= out.inc then return 'noout' end
    if not q.stream and redis.call('TYPE', out.stream).ok ~= 'stream' then return 'noout' end
    q.stream, out.private = out.stream, place(out)
  end
  for _, by in ipairs(e.passed) do
    if queue(by.meta).inc ~= by.inc then return 'noout' end
  end
  for _, payload in ipairs(e.payloads) do
    if redis.call('EXISTS', payload) == 0 then return 'resend' end
  end
end

-- refuse deletes payloads that have no use. Payloads that an earlier run with the same ids has
-- stored has no lifetime any more, and stays.
local function refuse(e, why)
  for _, payload in ipairs(e.payloads) do
    if redis.call('PERSIST', payload) == 1 then redis.call('UNLINK', payload) end
  end
  return why
end

-- bring_back puts a rest where it is read again, at once or when it is due.
local function bring_back(e, rest)
  if rest.delay == 0 then
    return put_back(e.returns, e.suspects, e.crashes >= tonumber(ARGV[2]), rest.source, rest.first, rest.n,
      rest.attempts, e.crashes, e.stamp, rest.kind, rest.data, nil, e.deaths, rest.count)
  end
  local id = redis.call('XADD', e.delayed, '*',
    returned(rest.source, rest.first, rest.n, rest.attempts, e.crashes, e.stamp, rest.kind, rest.data, e.worker, e.deaths, rest.count))
  redis.call('ZADD', KEYS[1], now_ms() + rest.delay, e.queue .. ' ' .. id)
end

-- retries reports whether items of an entry are tried again after a delay: another worker is to try them, if one is free.
local function retries(e)
  for _, rest in ipairs(e.rests) do
    if rest.delay > 0 then return true end
  end
  return false
end

-- bury makes a dead letter of an entry as it stands there. Of too many, the oldest go.
local function bury(e)
  local entry = redis.call('XRANGE', e.stream, e.id, e.id)[1]
  if not entry then return end
  local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
  redis.call('XADD', KEYS[2], '*', 'q', e.queue, 's', field(entry, 's') or '', 'o', field(entry, 'o') or '',
    'n', field(entry, 'n') or '', 'a', field(entry, 'a') or '', 'k', field(entry, 'k') or '',
    'd', field(entry, 'd') or '', 't', stamp_of(entry), 'why', e.why, kind, field(entry, kind) or '')
  trim_dead(KEYS[2], ARGV[1], tonumber(ARGV[3]))
end

-- take reads for the taker without waiting: an error belongs to the next read. A limited queue is read by
-- take.lua alone.
local function take(stream, meta)
  if has_limits(queue(meta).ring) then return {} end
  local got = redis.pcall('XREADGROUP', 'GROUP', 'w', ARGV[4], 'COUNT', 1, 'STREAMS', stream, '>')
  return got and not got.err and got[1][2] or {}
end

local function commit(e)
  local refusal = check(e)
  if refusal then return refuse(e, refusal) end
  if retries(e) then
    local holder = redis.call('XPENDING', e.stream, 'w', e.id, e.id, 1)[1]
    e.worker = holder and holder[2]
  end
  if redis.call('XACK', e.stream, 'w', e.id) == 0 and #redis.call('XRANGE', e.stream, e.id, e.id) == 0 then
    return refuse(e, 'lost')
  end
  if e.crashes > 0 and #e.rests > 0 then
    local entry = redis.call('XRANGE', e.stream, e.id, e.id)[1]
    e.deaths = entry and field(entry, 'd')
  end
  local cost = e.cost
  for _, out in ipairs(e.outs) do
    local q = queue(out.meta)
    local to = out.private or q
    if to.inc then
      add(to, out.source, out.first, tonumber(out.n), tonumber(out.size), e.stamp, out.kind, out.data, out.count)
      if out.payload then redis.call('PERSIST', out.payload) end
      note_added(to.meta)
    elseif out.payload then -- the gather of its source has gone: no process wants the results
      redis.call('UNLINK', out.payload)
    end
    cost = math.max(cost, e.growth * (q.measured > 0 and q.measured or q.cost))
  end
  for _, by in ipairs(e.passed) do
    local q = queue(by.meta)
    q.passed = q.passed + (by.count or by.n)
    if by.count then q.leftout = (q.leftout or 0) + by.n - by.count end
  end
  for _, rest in ipairs(e.rests) do
    bring_back(e, rest)
    if rest.delay == 0 then note_added(e.meta) end
    if rest.payload then redis.call('PERSIST', rest.payload) end
  end
  if e.why ~= '' then bury(e) end
  redis.call('XDEL', e.stream, e.id)
  for _, old in ipairs(e.old) do redis.call('UNLINK', old) end
  if e.cost > 0 then queue(e.meta).measured = math.floor(cost) end
  if has_limits(queue(e.meta).ring) then freed[e.meta] = true end
  return 'ok'
end

local replies, first = {}, nil
local k, a = 2, 4
while a < #ARGV do
  local e
  e, k, a = read(k, a)
  local done, reply = pcall(commit, e)
  if not done then reply = 'ERR ' .. tostring(type(reply) == 'table' and reply.err or reply) end
  replies[#replies + 1] = reply
  first = first or e
end
for meta, q in pairs(queues) do
  post(q)
  if q.passed > 0 then redis.call('HINCRBY', meta, 'fused', q.passed) end
  if math.abs(q.measured - q.cost) * 8 > q.cost and q.measured > 0 then redis.call('HSET', meta, 'cost', q.measured) end
end
local drained -- meta of the queue whose only entry the taker has
if ARGV[4] ~= '' and replies[1] == 'ok' then
  replies[2] = take(first.outs[1].stream, first.outs[1].meta)
  if #replies[2] > 0 and queue(first.outs[1].meta).ring and not has_unread(first.outs[1].stream) then drained = first.outs[1].meta end
end
for _, meta in ipairs(added) do
  freed[meta] = nil
  if meta ~= drained then announce(prefix, string.sub(meta, #prefix + 3), queue(meta).ring, queue(meta).entries == 1) end
end
for meta in pairs(freed) do announce_held(prefix, string.sub(meta, #prefix + 3), queue(meta).ring) end
return replies
