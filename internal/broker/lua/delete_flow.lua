-- delete_flow.lua: deletes the queues of a flow in one step, with the stages around them, their entries
--   and their sources
-- KEYS 1 stages  stages
-- KEYS 2 workers  workers
-- KEYS 3 queues  queues
-- KEYS 4 due  due
-- KEYS 5+ metas  {m:<queue>}*  for each queue
-- ARGV 1 prefix  of all keys
-- ARGV 2 most  entries and sources together that one call deletes
-- reply 1  done, or none of the queues was there
-- reply 0  nothing was changed: the queues have more than that, or a stage around them reads another
--   queue
local prefix, left = ARGV[1], tonumber(ARGV[2])
local queues, inside, ids, seen = {}, {}, {}, {}

-- around notes a stage that reads a queue or adds to it.
local function around(id)
  if id and not seen[id] then seen[id], ids[#ids + 1] = true, id end
end

for i = 5, #KEYS do
  local flat, q = redis.call('HGETALL', KEYS[i]), {name = string.sub(KEYS[i], #prefix + 3), key = KEYS[i]}
  for k = 1, #flat, 2 do
    q[flat[k]] = flat[k + 1]
    around(string.match(flat[k], '^s:(.+)$'))
  end
  around(string.match(q.consumer or '', '^stage:(.+)$'))
  if q.inc then queues[#queues + 1], inside[q.name] = q, true end
end
if #queues == 0 then return 1 end
table.sort(ids)
local stages = {}
for _, id in ipairs(ids) do
  local record = redis.call('HGET', KEYS[1], id)
  for _, queue in ipairs(queues_in(record, 'ins')) do
    if not inside[queue] then return 0 end
  end
  if record then stages[#stages + 1] = {id = id, record = record} end
end
for _, q in ipairs(queues) do
  q.full = {} -- its streams with entries
  for _, kind in ipairs({'l:', 'q:', 'r:', 'x:'}) do
    local n = redis.call('XLEN', prefix .. kind .. q.name)
    if n > 0 then q.full[#q.full + 1] = kind end
    left = left - n
  end
  q.sources = redis.call('ZCARD', prefix .. 'src:' .. q.name)
  left = left - q.sources
end
if left < 0 then return 0 end

redis.call('HDEL', KEYS[1], '') -- a script that has begun to delete may add, also where the memory is full
for _, q in ipairs(queues) do redis.call('HSET', q.key, 'dying', 1) end
for _, s in ipairs(stages) do
  local ins, outs = queues_in(s.record, 'ins'), queues_in(s.record, 'outs')
  if #ins > 0 then note_stage(prefix, s.id, s.record, ins, outs) end
  redis.call('HDEL', KEYS[1], s.id)
  drop_counts(prefix, s.id)
  for _, out in ipairs(outs) do
    if not inside[out] then redis.call('HDEL', prefix .. 'm:' .. out, 's:' .. s.id) end
  end
end

if #stages > 0 then
  local what, told, records = #stages == 1 and stages[1].id or '', {}, {}
  for i, s in ipairs(stages) do records[i] = s.record end
  if tell_direct(prefix, KEYS[2], what, records) then
    for _, q in ipairs(queues) do
      if #q.full > 0 then tell_holders(prefix, q.name, what, told) end
      local signed = string.match(q.ring or '', '^%d+ %S+ (.*)$')
      if signed then redis.pcall('ZREM', prefix .. 'ready:' .. signed, q.name) end
    end
  end
end

-- tell_waiting tells all that wait for a queue that it goes.
local function tell_waiting(q)
  local wait, watch = prefix .. 'wait:' .. q.name, prefix .. 'watch:' .. q.name
  if redis.call('EXISTS', wait, watch, prefix .. 'standby:' .. q.name) > 0 then
    tell_all(wait, 'room', q.name)
    tell_all(watch, 'gone', q.name)
    tell_standby(prefix, q.name)
  end
  if q.gatherer then redis.call('SREM', prefix .. 'awaited:' .. q.gatherer, q.name) end
  local gather = string.match(q.consumer or '', '^gather:(.+)$')
  if not gather then return end
  for root in string.gmatch(q.from or '', '"([^"~]+)') do
    if not inside[root] then redis.call('SREM', prefix .. 'watch:' .. root, prefix .. 'p:' .. gather) end
  end
end

-- drop_entries deletes what the entries of a stream have beside it.
local function drop_entries(kind, queue)
  for _, entry in ipairs(redis.call('XRANGE', prefix .. kind .. queue, '-', '+')) do
    local payload = field(entry, 'f')
    if payload then redis.call('UNLINK', prefix .. 'f:' .. payload) end
    if kind == 'l:' then redis.call('ZREM', KEYS[4], queue .. ' ' .. entry[1]) end
  end
end

local names, metas = {}, {}
for i, q in ipairs(queues) do
  tell_waiting(q)
  for _, kind in ipairs(q.full) do drop_entries(kind, q.name) end
  for _, name in ipairs(q.sources > 0 and redis.call('ZRANGE', prefix .. 'src:' .. q.name, 0, -1) or {}) do
    drop_hold(prefix .. 'holds:', redis.call('HGET', prefix .. 's:' .. name, 'by'), name)
    forget_source(prefix, q.name, leaves_of(q.leaves or q.name, name), name)
  end
  forget_private(prefix, q.flow, q.name)
  local function key(kind) return prefix .. kind .. ':' .. q.name end
  -- Two commands: the ACL rules of a worker are for the streams or for the other keys.
  redis.call('UNLINK', key('q'), key('r'), key('x'), key('l'))
  redis.call('UNLINK', key('src'), key('named'), key('d'), key('nacked'))
  if q.limits then drop_limits(prefix, q.name) end
  if q.expires then redis.call('ZREM', prefix .. 'expiring', q.name) end
  if (q.owner or '') ~= '' then redis.call('SREM', prefix .. 'own:' .. q.owner, q.name) end
  names[i], metas[i] = q.name, q.key
end
redis.call('SREM', KEYS[3], unpack(names))
redis.call('DEL', unpack(metas))
return 1
