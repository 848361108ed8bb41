-- complete.lua: replaces each finished entry by what came of it, if it is still there: first finisher wins
-- KEYS 1 due      zset of what is delayed
-- KEYS 2 dead     stream of the dead letters
-- KEYS 3+ entry  for each: its stream, m:<in>, r:<in>, x:<in>, l:<in>, old payload keys, then for each out q:<out>, m:<out>, for each queue that was passed by m:<queue>; then the payload keys of outs and rests in their order
-- ARGV 1 prefix   of payload keys
-- ARGV 2 many     crashes that make an entry a suspect
-- ARGV 3 most     dead letters that are kept
-- ARGV 4+ entry  for each: id, inc, cost in ns an item, crashes of the rests, source, queue, why it is a dead letter ('': it is none), number of old payload keys, of outs, of queues passed by, of rests; then for each out: inc, source, first, n, size, kind, data; for each queue passed by: inc, items; for each rest: attempts, delay in ms, first, n, size, kind, data
-- reply: for each entry 'ok', 'lost' (somebody else finished it), 'gone' (the in-queue), 'noout' (an out-queue, or one passed by), 'resend' (a payload), or 'ERR ...'
local ki, ai = 2, 3

local function key()
  ki = ki + 1
  return KEYS[ki]
end

local function arg()
  ai = ai + 1
  return ARGV[ai]
end

local function parse_part(part)
  part.first, part.n, part.size, part.kind, part.data = arg(), arg(), arg(), arg(), arg()
  return part
end

local function parse()
  local e = {stream = key(), meta = key(), returns = key(), suspects = key(), delayed = key(), old = {}, outs = {}, passed = {}, rests = {}}
  e.id, e.inc, e.cost, e.crashes, e.source, e.queue, e.why = arg(), arg(), tonumber(arg()), tonumber(arg()), arg(), arg(), arg()
  local old, outs, passed, rests = tonumber(arg()), tonumber(arg()), tonumber(arg()), tonumber(arg())
  for i = 1, old do e.old[i] = key() end
  for i = 1, outs do
    local part = {stream = key(), meta = key()}
    part.inc, part.source = arg(), arg()
    e.outs[i] = parse_part(part)
  end
  for i = 1, passed do e.passed[i] = {meta = key(), inc = arg(), items = arg()} end
  for i = 1, rests do
    local part = {}
    part.attempts, part.delay = arg(), tonumber(arg())
    e.rests[i] = parse_part(part)
  end
  for _, list in ipairs({e.outs, e.rests}) do
    for _, part in ipairs(list) do
      if part.kind == 'f' then part.payload = key() end
    end
  end
  return e
end

-- queues are those that the entries are about, as far as they were looked at: what
-- stands in their metas, and what is to be added there at the end.
local queues = {}

local function queue(meta)
  if not queues[meta] then
    local at = redis.call('HMGET', meta, 'inc', 'dying', 'items', 'bytes', 'cost')
    local q = tally(nil, meta, at[3], at[4])
    q.inc, q.dying, q.cost, q.passed, q.measured = at[1], at[2], tonumber(at[5]) or 0, 0, 0
    queues[meta] = q
  end
  return queues[meta]
end

local function gone(meta, inc)
  local q = queue(meta)
  return q.inc ~= inc or q.dying
end

-- each_payload calls f with the payload keys of what came of an entry.
local function each_payload(e, f)
  for _, list in ipairs({e.outs, e.rests}) do
    for _, part in ipairs(list) do
      if part.payload then f(part.payload) end
    end
  end
end

local function check(e)
  if gone(e.meta, e.inc) then return 'gone' end
  for _, out in ipairs(e.outs) do
    if gone(out.meta, out.inc) then return 'noout' end
    local q = queue(out.meta)
    if not q.stream and redis.call('TYPE', out.stream).ok ~= 'stream' then return 'noout' end
    q.stream = out.stream
  end
  for _, by in ipairs(e.passed) do
    if gone(by.meta, by.inc) then return 'noout' end
  end
  local missing = false
  each_payload(e, function(payload) missing = missing or redis.call('EXISTS', payload) == 0 end)
  if missing then return 'resend' end
end

-- discard deletes what nobody will want. What an earlier run with the same ids has
-- stored has no lifetime any more, and stays.
local function discard(payload)
  if redis.call('PERSIST', payload) == 1 then redis.call('UNLINK', payload) end
end

local function refuse(e, why)
  if why ~= 'resend' then each_payload(e, discard) end
  return why
end

-- bring_back puts a rest where it is read again, at once or when it is due.
local function bring_back(e, rest)
  if rest.delay == 0 then
    return put_back(e.returns, e.suspects, e.crashes >= tonumber(ARGV[2]), e.source, rest.first, rest.n,
      rest.attempts, e.crashes, rest.kind, rest.data)
  end
  local id = redis.call('XADD', e.delayed, '*',
    returned(e.source, rest.first, rest.n, rest.attempts, e.crashes, rest.kind, rest.data))
  redis.call('ZADD', KEYS[1], now_ms() + rest.delay, e.queue .. ' ' .. id)
end

-- bury makes a dead letter of an entry as it stands there. Of too many, the oldest go.
local function bury(e)
  local entry = redis.call('XRANGE', e.stream, e.id, e.id)[1]
  if not entry then return end
  local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
  redis.call('XADD', KEYS[2], '*', 'q', e.queue, 's', field(entry, 's') or '', 'o', field(entry, 'o') or '',
    'n', field(entry, 'n') or '', 'a', field(entry, 'a') or '', 'k', field(entry, 'k') or '', 'why', e.why,
    kind, field(entry, kind) or '')
  while redis.call('XLEN', KEYS[2]) > tonumber(ARGV[3]) do
    local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    local payload = field(oldest, 'f')
    if payload then redis.call('UNLINK', ARGV[1] .. payload) end
    redis.call('XDEL', KEYS[2], oldest[1])
  end
end

local function commit(e)
  local refusal = check(e)
  if refusal then return refuse(e, refusal) end
  if redis.call('XACK', e.stream, 'w', e.id) == 0 and #redis.call('XRANGE', e.stream, e.id, e.id) == 0 then
    return refuse(e, 'lost')
  end
  local cost = e.cost
  for _, out in ipairs(e.outs) do
    local q = queue(out.meta)
    add(q, out.source, out.first, tonumber(out.n), tonumber(out.size), out.kind, out.data)
    if out.payload then redis.call('PERSIST', out.payload) end
    cost = math.max(cost, q.measured > 0 and q.measured or q.cost)
  end
  for _, by in ipairs(e.passed) do
    local q = queue(by.meta)
    q.passed = q.passed + tonumber(by.items)
  end
  for _, rest in ipairs(e.rests) do
    bring_back(e, rest)
    if rest.payload then redis.call('PERSIST', rest.payload) end
  end
  if e.why ~= '' then bury(e) end
  redis.call('XDEL', e.stream, e.id)
  for _, old in ipairs(e.old) do redis.call('UNLINK', old) end
  if e.cost > 0 then queue(e.meta).measured = math.floor(cost) end
  return 'ok'
end

-- more tells whether there is another entry. A function has to: on the embedded
-- broker, what functions count is another variable to the others after a failed pcall.
local function more() return ai < #ARGV end

local replies = {}
while more() do
  local e = parse()
  local done, reply = pcall(commit, e)
  if not done then reply = 'ERR ' .. tostring(type(reply) == 'table' and reply.err or reply) end
  replies[#replies + 1] = reply
end
for meta, q in pairs(queues) do
  post(q)
  if q.passed > 0 then redis.call('HINCRBY', meta, 'fused', q.passed) end
  if math.abs(q.measured - q.cost) * 8 > q.cost and q.measured > 0 then redis.call('HSET', meta, 'cost', q.measured) end
end
return replies
