-- complete.lua: replaces each finished entry by what came of it, if it is still there: first finisher wins
-- KEYS 1+ entry  for each: its stream, m:<in>, r:<in>, old payload keys, then for each out q:<out>, m:<out>; then the payload keys of outs and rests in their order
-- ARGV 1+ entry  for each: id, inc, cost in ns an item, crashes of the rests, source, number of old payload keys, of outs, of rests; then for each out: inc, source, first, n, size, kind, data; for each rest: first, n, size, kind, data
-- reply: for each entry 'ok', 'lost' (somebody else finished it), 'gone' (the in-queue), 'noout' (an out-queue), 'resend' (a payload), or 'ERR ...'
local ki, ai = 0, 0

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
  local e = {stream = key(), meta = key(), returns = key(), old = {}, outs = {}, rests = {}}
  e.id, e.inc, e.cost, e.crashes, e.source = arg(), arg(), tonumber(arg()), arg(), arg()
  local old, outs, rests = tonumber(arg()), tonumber(arg()), tonumber(arg())
  for i = 1, old do e.old[i] = key() end
  for i = 1, outs do
    local part = {stream = key(), meta = key()}
    part.inc, part.source = arg(), arg()
    e.outs[i] = parse_part(part)
  end
  for i = 1, rests do e.rests[i] = parse_part({}) end
  for _, list in ipairs({e.outs, e.rests}) do
    for _, part in ipairs(list) do
      if part.kind == 'f' then part.payload = key() end
    end
  end
  return e
end

local function check(e)
  local meta = redis.call('HMGET', e.meta, 'inc', 'dying')
  if meta[1] ~= e.inc or meta[2] then return 'gone' end
  for _, out in ipairs(e.outs) do
    meta = redis.call('HMGET', out.meta, 'inc', 'dying')
    if meta[1] ~= out.inc or meta[2] or redis.call('TYPE', out.stream).ok ~= 'stream' then return 'noout' end
  end
  for _, list in ipairs({e.outs, e.rests}) do
    for _, part in ipairs(list) do
      if part.payload and redis.call('EXISTS', part.payload) == 0 then return 'resend' end
    end
  end
end

local function commit(e)
  local refusal = check(e)
  if refusal then return refusal end
  if redis.call('XACK', e.stream, 'w', e.id) == 0 and #redis.call('XRANGE', e.stream, e.id, e.id) == 0 then
    return 'lost'
  end
  local cost = e.cost
  for _, out in ipairs(e.outs) do
    if out.payload then redis.call('PERSIST', out.payload) end
    add(out.stream, out.meta, out.source, out.first, out.n, out.size, out.kind, out.data)
    cost = math.max(cost, tonumber(redis.call('HGET', out.meta, 'cost') or 0))
  end
  for _, rest in ipairs(e.rests) do
    if rest.payload then redis.call('PERSIST', rest.payload) end
    redis.call('XADD', e.returns, 'NOMKSTREAM', '*', 's', e.source, 'o', rest.first, 'n', rest.n,
      'c', 0, 'b', 0, 'a', 0, 'k', e.crashes, rest.kind, rest.data)
  end
  redis.call('XDEL', e.stream, e.id)
  for _, old in ipairs(e.old) do redis.call('UNLINK', old) end
  if e.cost > 0 then redis.call('HSET', e.meta, 'cost', math.floor(cost)) end
  return 'ok'
end

local replies = {}
while ai < #ARGV do
  local e = parse()
  local done, reply = pcall(commit, e)
  if not done then reply = 'ERR ' .. tostring(type(reply) == 'table' and reply.err or reply) end
  replies[#replies + 1] = reply
end
return replies
