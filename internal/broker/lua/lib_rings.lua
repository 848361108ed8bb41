-- has_unread tells whether a stream has an entry that its group has not read.
local function has_unread(stream)
  if redis.call('XLEN', stream) == 0 then return false end
  return redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)[1] ~= nil
end

-- ring_one wakes the worker that waited last in one of some classes: it puts the hint `ready` into the
-- mailbox. A mailbox that is gone was that of a dead worker, and the next one is told.
local function ring_one(prefix, classes, queue, stage)
  for class in string.gmatch(classes, '%S+') do
    local idle = prefix .. 'idle:' .. class
    local worker = redis.call('ZRANGE', idle, -1, -1)[1]
    while worker do
      redis.call('ZREM', idle, worker)
      if tell(prefix .. 'p:' .. worker, 'ready', queue .. ' ' .. stage) then return true end
      worker = redis.call('ZRANGE', idle, -1, -1)[1]
    end
  end
  return false
end

-- servers returns the classes of workers that serve the stage of a queue, and its revision and its id,
-- and the key of its ready queues. ring is the field of its meta. Without a class it returns nil.
local function servers(prefix, ring)
  local stage, signature = string.match(ring or '', '^(%d+ %S+) (.*)$')
  local classes = stage and redis.call('HGET', prefix .. 'classes', 's:' .. signature)
  if not classes or classes == '' then return nil end
  return classes, stage, prefix .. 'ready:' .. signature
end

-- enqueue puts a queue behind all other ready queues. single: one entry made it ready, for one worker. The
-- score of such a queue is a whole number.
local function enqueue(prefix, ready, queue, single)
  local place = redis.call('HINCRBY', prefix .. 'classes', 'seq', 1)
  redis.call('ZADD', ready, single and place or place + 0.5, queue)
end

-- is_single tells from the score of a ready queue whether it is for one worker.
local function is_single(score) return tonumber(score) % 1 == 0 end

-- claim keeps a ready queue with a single entry for the worker that is told of it: so others that are awake
-- do not look for that entry too. The score is the time in ms at which the claim ends if that worker has
-- not read the queue by then; it is behind all places.
local function claim(ready, queue, ms) redis.call('ZADD', ready, ms + 50, queue) end

-- is_claimed tells from the score of a ready queue whether it is kept for another worker. A time that is
-- further ahead than a claim lasts is that of another server.
local function is_claimed(score, ms) return score > ms and score <= ms + 50 end

-- announce notes that a queue has unread entries, and wakes a worker if that was not known. single: the
-- queue got one entry. A process without the right to do so goes on: a pass of mark_unread.lua finds the
-- queue.
local function announce(prefix, queue, ring, single)
  if not ring then return end
  pcall(function()
    if has_limits(ring) and not release(prefix, queue, 500) then return end
    local classes, stage, ready = servers(prefix, ring)
    local score = classes and redis.call('ZSCORE', ready, queue)
    if not classes or score and not is_single(score) then return end
    if score then return enqueue(prefix, ready, queue) end -- it has more entries now
    if ring_one(prefix, classes, queue, stage) and single then return claim(ready, queue, now_ms()) end
    enqueue(prefix, ready, queue, single)
  end)
end

-- announce_unread announces a queue if one of its streams has an unread entry.
local function announce_unread(prefix, queue, ring)
  if not ring then return end
  pcall(function()
    if not has_limits(ring) and not servers(prefix, ring) then return end
    for _, kind in ipairs({'q:', 'r:', 'x:'}) do
      if has_unread(prefix .. kind .. queue) then return announce(prefix, queue, ring) end
    end
  end)
end

-- announce_held announces a limited queue if it was held by a limit that lets workers read it now.
local function announce_held(prefix, queue, ring)
  if has_limits(ring) and redis.call('HEXISTS', prefix .. 'm:' .. queue, 'held') == 1 then announce(prefix, queue, ring) end
end

-- signature describes the function of a stage, its types and its tags, as workers have them, and whether
-- it has limits; nil: no worker runs the stage.
local function signature(record)
  if string.find(record, '^%s*{%s*"paused"%s*:%s*true') then return nil end
  local _, ins = string.gsub(string.match(record, '"ins"%s*:%s*(%b[])') or '', '"inc"%s*:', '')
  local kind, tags = text_in(record, 'kind', 64), {}
  if ins ~= 1 or not string.find(' map filter flatmap future copy ', ' ' .. kind .. ' ', 1, true) then return nil end
  for tag in string.gmatch(string.match(record, '"tags"%s*:%s*(%b[])') or '', '"([^"]*)"') do tags[#tags + 1] = tag end
  local parts = {}
  for i, name in ipairs({'fn', 'incodec', 'intype', 'outcodec', 'outtype'}) do
    local text = text_in(record, name, 65536)
    parts[i] = string.gsub(text, '\\u00(%x%x)', function(code) return string.char(tonumber(code, 16)) end)
  end
  if kind == 'filter' or kind == 'flatmap' then parts[1] = kind .. ' ' .. parts[1] end
  return table.concat(parts, '\t') .. '\t' .. table.concat(tags, ',') .. (limits_in(record) and '\tlimits' or '')
end

-- fits tells whether a codec and type of a function match those of a stage. Empty ones match all.
local function fits(codec, type, other_codec, other_type)
  return codec == other_codec and type == other_type or codec .. type == '' or other_codec .. other_type == ''
end

-- serves tells whether workers of a class run stages of a signature. The definition of a class has its
-- tags in its first line, then a function with its types in each line.
local function serves(definition, signature)
  local fn, in_codec, in_type, out_codec, out_type, tags =
    string.match(signature, '^([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)\t([^\t]*)')
  if not fn then return false end
  local own = ',' .. string.match(definition, '^[^\n]*') .. ','
  for tag in string.gmatch(tags, '[^,]+') do
    if not string.find(own, ',' .. tag .. ',', 1, true) then return false end
  end
  if fn == '' then return true end -- it copies
  for name, ic, it, oc, ot in string.gmatch(definition, '\n([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)\t([^\t\n]*)') do
    if name == fn and fits(ic, it, in_codec, in_type) and fits(oc, ot, out_codec, out_type) then return true end
  end
  return false
end

-- enroll finds the classes that serve a signature, if it is new.
local function enroll(prefix, signature)
  local classes = prefix .. 'classes'
  if redis.call('EXISTS', classes) == 0 or redis.call('HEXISTS', classes, 's:' .. signature) == 1 then return end
  local serving = {}
  for class in string.gmatch(redis.call('HGET', classes, 'all') or '', '%S+') do
    if serves(redis.call('HGET', classes, 'c:' .. class) or '', signature) then
      serving[#serving + 1] = class
      redis.call('HSET', classes, 'w:' .. class, (redis.call('HGET', classes, 'w:' .. class) or '') .. signature .. '\n')
    end
  end
  redis.call('HSET', classes, 's:' .. signature, table.concat(serving, ' '))
end

-- follow gives the in-queue of a stage its field ring: a new revision, the id and the signature of the
-- stage. It announces a backlog. A paused stage, or none, gets no rings.
local function follow(prefix, queue, stage, record)
  local meta = prefix .. 'm:' .. queue
  local fields = redis.call('HMGET', meta, 'ring', 'limits')
  local old = fields[1]
  set_limits(prefix, queue, record, fields[2])
  local was = old and string.match(old, '^%d+ %S+ (.*)$')
  if was then redis.pcall('ZREM', prefix .. 'ready:' .. was, queue) end
  local signed = record and signature(record)
  if not signed then
    if old then redis.call('HDEL', meta, 'ring') end
    return
  end
  local ring = string.format('%d %s %s', redis.call('HINCRBY', meta, 'revision', 1), stage, signed)
  redis.call('HSET', meta, 'ring', ring)
  pcall(function() enroll(prefix, signed) end)
  announce_unread(prefix, queue, ring)
end

-- names_in returns the names of the functions on the card of a worker, each between two spaces. nil: the
-- card has none.
local function names_in(functions)
  local names = ' '
  for name in string.gmatch(functions or '', '"name"%s*:%s*"([^"]*)"') do names = names .. name .. ' ' end
  return functions and names
end

-- wait_at_queues notes that a worker waits at queues: it is told of the stages of its functions.
local function wait_at_queues(prefix, worker)
  redis.call('HSET', prefix .. 'direct', worker, names_in(redis.call('HGET', prefix .. 'w:' .. worker, 'functions')) or '*')
end

-- runners returns a function that tells from the field direct of a worker whether the worker may run one
-- of some stages.
local function runners(records)
  local names = {}
  for i, record in ipairs(records) do names[i] = text_in(record, 'fn', 64) end
  return function(own)
    for _, name in ipairs(names) do
      if name == '' or own == '*' or string.find(own, ' ' .. name .. ' ', 1, true) then return true end
    end
    return #names == 0
  end
end

-- tell_direct tells the workers that wait at queues, and have the functions of some records, of a change of
-- a stage: those in the hash direct. If other workers are registered that wait for no rings, of earlier
-- versions, it tells them too.
local function tell_direct(prefix, workers, stage, records)
  local members, told = redis.pcall('HGET', prefix .. 'classes', 'n'), {}
  local direct = redis.pcall('HGETALL', prefix .. 'direct')
  local denied, runs = type(members) == 'table' or direct.err, runners(records)
  for i = 1, denied and 0 or #direct, 2 do
    told[direct[i]] = true
    if runs(direct[i + 1]) then tell(prefix .. 'p:' .. direct[i], 'stages', stage) end
  end
  if denied or #direct / 2 + (tonumber(members or 0) or 0) ~= redis.call('ZCARD', workers) then
    for _, worker in ipairs(redis.call('ZRANGE', workers, 0, -1)) do
      if not told[worker] and (denied or not members or redis.call('HEXISTS', prefix .. 'classes', 'm:' .. worker) == 0) then
        tell(prefix .. 'p:' .. worker, 'stages', stage)
      end
    end
  end
  return not denied and members
end

-- queues_in returns the names of the queues in a list of a record: ins or outs.
local function queues_in(record, list)
  local names = {}
  for name in string.gmatch(string.match(record or '', '"' .. list .. '"%s*:%s*(%b[])') or '', '"q"%s*:%s*"([^"]+)"') do
    names[#names + 1] = name
  end
  return names
end

-- upstream adds the in-queues of the stages before a queue to a list, and those before these. One worker
-- may run all these stages in one call.
local function upstream(prefix, stages, queue, list, seen)
  local meta = redis.call('HGETALL', prefix .. 'm:' .. queue)
  for i = 1, #meta, 2 do
    local stage = string.match(meta[i], '^s:(.+)$')
    for _, name in ipairs(stage and queues_in(redis.call('HGET', stages, stage), 'ins') or {}) do
      if not seen[name] then
        seen[name], list[#list + 1] = true, name
        upstream(prefix, stages, name, list, seen)
      end
    end
  end
end

-- revise gives the field ring of a queue a new revision.
local function revise(prefix, queue)
  local meta = prefix .. 'm:' .. queue
  local rest = string.match(redis.call('HGET', meta, 'ring') or '', '^%d+ (.*)$')
  if rest then redis.call('HSET', meta, 'ring', redis.call('HINCRBY', meta, 'revision', 1) .. ' ' .. rest) end
end

-- tell_holders tells the workers that wait for rings and hold entries of a queue of a change of a stage,
-- those once that are not in told.
local function tell_holders(prefix, queue, stage, told)
  for _, kind in ipairs({'q:', 'r:', 'x:'}) do
    local pending = redis.pcall('XPENDING', prefix .. kind .. queue, 'w')
    for _, row in ipairs(not pending.err and pending[4] or {}) do
      if not told[row[1]] and redis.call('HEXISTS', prefix .. 'classes', 'm:' .. row[1]) == 1 then
        told[row[1]] = true
        tell(prefix .. 'p:' .. row[1], 'stages', stage)
      end
    end
  end
end

-- tell_stage tells the workers of a change of a stage: those that wait at queues and have the function of
-- one of its records, and those that hold entries of its in-queues or of the stages before it. Another
-- worker is told of it when it is rung for one of these queues, by the revision.
local function tell_stage(prefix, workers, stages, stage, queues, records)
  if not tell_direct(prefix, workers, stage, records) then return end
  local list, seen, told = {}, {}, {}
  for i, queue in ipairs(queues) do seen[queue], list[i] = true, queue end
  for _, queue in ipairs(queues) do upstream(prefix, stages, queue, list, seen) end
  for i, queue in ipairs(list) do
    if i > #queues then revise(prefix, queue) end
    tell_holders(prefix, queue, stage, told)
  end
end

-- leave_class takes a worker out of its class, if it has one. A class without workers goes, and with
-- the last class all that the rings have.
local function leave_class(prefix, worker)
  local classes = prefix .. 'classes'
  local class = redis.call('HGET', classes, 'm:' .. worker)
  if not class then return end
  redis.call('HDEL', classes, 'm:' .. worker)
  redis.call('ZREM', prefix .. 'idle:' .. class, worker)
  redis.call('HINCRBY', classes, 'n', -1)
  if redis.call('HINCRBY', classes, 'n:' .. class, -1) > 0 then return end
  redis.call('DEL', prefix .. 'idle:' .. class)
  local function without(list)
    local rest = {}
    for other in string.gmatch(list or '', '%S+') do
      if other ~= class then rest[#rest + 1] = other end
    end
    return table.concat(rest, ' ')
  end
  for signature in string.gmatch(redis.call('HGET', classes, 'w:' .. class) or '', '[^\n]+') do
    local rest = without(redis.call('HGET', classes, 's:' .. signature))
    redis.call('HSET', classes, 's:' .. signature, rest)
    if rest == '' then redis.call('DEL', prefix .. 'ready:' .. signature) end
  end
  local all = without(redis.call('HGET', classes, 'all'))
  redis.call('HDEL', classes, 'c:' .. class, 'w:' .. class, 'n:' .. class)
  redis.call('HSET', classes, 'all', all)
  if all == '' then redis.call('DEL', classes) end
end

-- forget_worker takes a worker that has gone out of the rings. A process without the right to do so goes
-- on: a pass of mark_unread.lua forgets the worker.
local function forget_worker(prefix, worker)
  redis.pcall('HDEL', prefix .. 'direct', worker)
  pcall(function() leave_class(prefix, worker) end)
end
