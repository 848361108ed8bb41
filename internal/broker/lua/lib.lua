-- Functions that several scripts share. Each script gets the paragraphs whose functions it uses.

-- field returns the value of one field of an entry {id, {name, value, ...}}, nil
-- where it is missing: that is a value too, which tonumber(field(...)) needs.
local function field(entry, name)
  local fields = entry[2]
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
  return nil
end

-- stamp_of returns the stamp of an entry: the ms at which its items were scattered, and their trace
-- behind that. An older writer left it out: then it is the ms at which the entry was added.
local function stamp_of(entry)
  return field(entry, 't') or string.match(entry[1], '^%d+')
end

-- now_ms is the time of Redis in ms.
local function now_ms()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
end

-- tell puts a hint into a mailbox. It returns false if the mailbox is gone.
local function tell(mailbox, kind, what)
  return redis.call('XADD', mailbox, 'NOMKSTREAM', 'MAXLEN', 1000, '*', 'm', kind, 'w', what)
end

-- tell_all tells every mailbox of a set and forgets the set.
local function tell_all(set, kind, what)
  for _, mailbox in ipairs(redis.call('SMEMBERS', set)) do
    tell(mailbox, kind, what)
  end
  redis.call('DEL', set)
end

-- notify puts a hint into the mailboxes of the gathers that watch a queue, and
-- forgets those that are gone.
local function notify(watch, kind, what)
  for _, mailbox in ipairs(redis.call('SMEMBERS', watch)) do
    if not tell(mailbox, kind, what) then redis.call('SREM', watch, mailbox) end
  end
end

-- note_change gives a source the next number of its root queue, so that gathers
-- read it again.
local function note_change(meta, sources, name)
  redis.call('ZADD', sources, redis.call('HINCRBY', meta, 'changes', 1), name)
end

-- tell_standby tells the executors that wait for the right to gather a queue that it has
-- no gather.
local function tell_standby(prefix, queue)
  for _, mailbox in ipairs(redis.call('ZRANGE', prefix .. 'standby:' .. queue, 0, -1)) do
    tell(mailbox, 'free', queue)
  end
  redis.call('DEL', prefix .. 'standby:' .. queue)
end

-- release_standby is tell_standby for a queue that an executor gathered until now.
local function release_standby(prefix, executor, queue)
  tell_standby(prefix, queue)
  redis.call('SREM', prefix .. 'awaited:' .. (executor or ''), queue)
end

-- leave_gathers tells those who wait for the queues of an executor that has gone, which are
-- in its key awaited.
local function leave_gathers(prefix, awaited)
  for _, queue in ipairs(redis.call('SMEMBERS', awaited)) do
    tell_standby(prefix, queue)
  end
  redis.call('DEL', awaited)
end

-- delivered returns the id up to which the group of a stream has been read.
local function delivered(stream)
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    for i = 1, #group, 2 do
      if group[i] == 'last-delivered-id' then return group[i + 1] end
    end
  end
  return '0-0'
end

-- is_behind tells whether an id comes after another one in a stream.
local function is_behind(id, other)
  local ms, seq = string.match(id, '(%d+)-?(%d*)')
  local other_ms, other_seq = string.match(other, '(%d+)-?(%d*)')
  if ms == other_ms then return (tonumber(seq) or 0) > (tonumber(other_seq) or 0) end
  return tonumber(ms) > tonumber(other_ms)
end

-- unread returns the items and bytes that no reader has read yet. Readers do not
-- count: every entry carries the items added before it, so the unread items are
-- all items added, less those added before the first entry behind the last read.
-- That entry is the third result.
local function unread(stream, meta)
  if redis.call('XLEN', stream) == 0 then return 0, 0 end
  local first = redis.call('XRANGE', stream, '(' .. delivered(stream), '+', 'COUNT', 1)[1]
  if not first then return 0, 0 end
  local added = redis.call('HMGET', meta, 'items', 'bytes')
  return (tonumber(added[1]) or 0) - (tonumber(field(first, 'c')) or 0),
    (tonumber(added[2]) or 0) - (tonumber(field(first, 'b')) or 0), first
end

-- has_leaf tells whether a leaf is among the leaves of a root queue, which have
-- a space between them. A leaf is a queue that no stage reads, with the branches
-- that the items took on the way to it.
local function has_leaf(leaves, leaf)
  return string.find(' ' .. leaves .. ' ', ' ' .. leaf .. ' ', 1, true) ~= nil
end

-- private_of returns, of a source whose results go to a queue of its own instead of a named one, the names
-- of these: <source>@<named queue> is the name of both the source and its private queue.
local function private_of(source)
  if not string.find(source, '@', 1, true) then return nil end
  local queue = string.match(source, '^[^~/]+')
  return string.match(queue, '@(.*)$'), queue
end

-- leaves_of returns those leaves of a root queue that get the items of a source.
local function leaves_of(leaves, source)
  local last, private = private_of(source)
  if not last then return leaves end
  local list = {}
  for queue, branch in string.gmatch(leaves, '([^%s~]+)(%S*)') do
    list[#list + 1] = (queue == last and private or queue) .. branch
  end
  return table.concat(list, ' ')
end

-- read_source returns the fields of a source and the offset below which all
-- leaves that are gathered have delivered; nil if none is gathered. Without
-- leaves, the root queue is its only one.
local function read_source(key, leaves)
  local source, marks, low = {}, {}, nil
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    source[flat[i]] = flat[i + 1]
    if string.sub(flat[i], 1, 2) == 'g:' then marks[#marks + 1] = flat[i] end
  end
  for _, mark in ipairs(marks) do
    if has_leaf(leaves or source.queue, string.sub(mark, 3)) then
      low = math.min(low or math.huge, tonumber(source[mark]) or math.huge)
    end
  end
  return source, low
end

-- first_gap returns the bounds of the lowest range that a source has dropped.
local function first_gap(gaps)
  local from, to = string.match(redis.call('ZRANGE', gaps, 0, 0)[1] or '', '(%d+)-(%d+)')
  return tonumber(from), tonumber(to)
end

-- window_end returns the offset at which a window that begins at low ends. Gaps
-- do not count in it, since they hold no items.
local function window_end(source, gaps, low, window)
  local dropped = tonumber(source.dropped or 0)
  if dropped > 0 then
    local from, to = first_gap(gaps)
    if from and from < low then dropped = dropped - (math.min(low, to) - from) end
  end
  return low + window + math.max(0, dropped)
end

-- forget_source deletes a source of a root queue, and its marks in all leaves.
local function forget_source(prefix, root, leaves, name)
  redis.call('UNLINK', prefix .. 's:' .. name, prefix .. 'gaps:' .. name, prefix .. 'in:' .. name)
  redis.call('ZREM', prefix .. 'src:' .. root, name)
  for queue, branch in string.gmatch(leaves, '([^%s~]+)(%S*)') do
    redis.call('HDEL', prefix .. 'd:' .. queue, name .. branch)
  end
end

-- forget_delivered forgets a source that has ended, if all leaves have delivered
-- it. Of a named one it keeps where it ended.
local function forget_delivered(prefix, root, leaves, name)
  local source = redis.call('HMGET', prefix .. 's:' .. name, 'end', 'named')
  if not source[1] or tonumber(source[1]) < 0 then return false end
  for leaf in string.gmatch(leaves, '%S+') do
    if redis.call('HGET', prefix .. 's:' .. name, 'g:' .. leaf) ~= 'end' then return false end
  end
  if source[2] then redis.call('HSET', prefix .. 'named:' .. root, name, source[1]) end
  forget_source(prefix, root, leaves, name)
  return true
end

-- give_up ends a source where it stands, and says why. A named one stays open:
-- its successor may come.
local function give_up(source, cause)
  if redis.call('HGET', source, 'named') then
    redis.call('HSET', source, 'away', cause)
  else
    redis.call('HSET', source, 'end', redis.call('HGET', source, 'stored'), 'cut', cause)
  end
end

-- drop_hold takes a source out of the set of its executor.
local function drop_hold(holds, executor, source)
  if executor and executor ~= '' then redis.call('SREM', holds .. executor, source) end
end

-- forget_private deletes the source of a private queue of a flow. It does nothing for another queue.
local function forget_private(prefix, root, queue)
  local _, name = private_of(queue)
  if not name or not root then return end
  drop_hold(prefix .. 'holds:', redis.call('HGET', prefix .. 's:' .. name, 'by'), name)
  forget_source(prefix, root, queue, name)
end

-- fenced_entry describes a process that others clean up after: when that
-- began, in watched time, how many clean-ups are done, and its process id and host.
local function fenced_entry(watcher, done, pid, host)
  local watched = redis.call('HGET', watcher, 'watched') or now_ms()
  return string.format('%s %d %s %s', watched, done, pid or '', host or '')
end

-- is_full tells whether a bound is reached; 0 is no bound.
local function is_full(items, bytes, max, max_bytes)
  return (max > 0 and items >= max) or (max_bytes > 0 and bytes >= max_bytes)
end

-- tally begins to count the items that a script adds to a queue: fields are 'items' and
-- 'bytes' of its meta. post writes the meta once.
local function tally(stream, meta, items, bytes)
  return {stream = stream, meta = meta, items = tonumber(items) or 0, bytes = tonumber(bytes) or 0, n = 0}
end

-- inputs_of returns how many offsets of a source that was scattered begin with [first, first+n) of a
-- source: all of them, or of a child one, with its first item.
local function inputs_of(source, first, n)
  if not string.find(source, '/', 1, true) then return n end
  local depth, begins = 0, tonumber(first) == 0
  for at in string.gmatch(source, '/(%d+)') do
    depth = depth + 1
    begins = begins and (depth == 1 or tonumber(at) == 0)
  end
  return begins and 1 or 0
end

-- add puts the offsets [first, first+n) of a source at the end of a queue. stamp: see stamp_of; kind: p
-- payload, f id of the payload's key, e failure of all the items; items: their number, nil: n, but not
-- for a child.
local function add(queue, source, first, n, size, stamp, kind, data, items)
  if items then
    redis.call('XADD', queue.stream, 'NOMKSTREAM', '*', 's', source, 'o', first, 'n', n,
      'c', queue.items, 'b', queue.bytes, 'a', 0, 'k', 0, 't', stamp, 'i', items, kind, data)
    queue.leftout = (queue.leftout or 0) + inputs_of(source, first, n) - items
  else
    redis.call('XADD', queue.stream, 'NOMKSTREAM', '*', 's', source, 'o', first, 'n', n,
      'c', queue.items, 'b', queue.bytes, 'a', 0, 'k', 0, 't', stamp, kind, data)
  end
  queue.entries = (queue.entries or 0) + 1
  queue.items, queue.bytes = queue.items + (items or n), queue.bytes + size
  queue.n = queue.n + n
end

local function post(queue)
  if queue.leftout then redis.call('HINCRBY', queue.meta, 'leftout', queue.leftout) end
  queue.leftout = nil
  if queue.n == 0 then return end
  redis.call('HSET', queue.meta, 'items', queue.items, 'bytes', queue.bytes)
  queue.n = 0
end

-- trim_dead deletes the oldest dead letters of too many.
local function trim_dead(dead, payloads, most)
  while redis.call('XLEN', dead) > most do
    local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
    local payload = field(oldest, 'f')
    if payload then redis.call('UNLINK', payloads .. payload) end
    redis.call('XDEL', dead, oldest[1])
  end
end

-- drop_unstored deletes a payload that no entry has: no script has taken its lifetime off.
local function drop_unstored(payload)
  if redis.call('PTTL', payload) < 0 then return 0 end
  return redis.call('UNLINK', payload)
end

-- returned makes the fields of a requeued entry. failed: the worker that it is a retry of; deaths:
-- the workers that died with it; nil: none. items: their number; nil: n.
local function returned(source, first, n, attempts, crashes, stamp, kind, data, failed, deaths, items)
  local fields = {'s', source, 'o', first, 'n', n, 'c', 0, 'b', 0, 'a', attempts, 'k', crashes, 't', stamp}
  if failed then fields[17], fields[18] = 'w', failed end
  if deaths then fields[#fields + 1], fields[#fields + 2] = 'd', deaths end
  if items then fields[#fields + 1], fields[#fields + 2] = 'i', items end
  fields[#fields + 1], fields[#fields + 2] = kind, data
  return unpack(fields)
end

-- put_back puts items into r:, or into x: if they are suspects. That stream
-- is made with the first one.
local function put_back(returns, suspects, suspect, ...)
  if not suspect then return redis.call('XADD', returns, 'NOMKSTREAM', '*', returned(...)) end
  if redis.call('EXISTS', suspects) == 0 then redis.call('XGROUP', 'CREATE', suspects, 'w', '0', 'MKSTREAM') end
  return redis.call('XADD', suspects, 'NOMKSTREAM', '*', returned(...))
end

-- drop_counts deletes the counts of a stage. A process without the right to do so goes on: no
-- process of its namespace may have counted.
local function drop_counts(prefix, stage)
  redis.pcall('UNLINK', prefix .. 't:' .. stage, prefix .. 'h:' .. stage, prefix .. 'err:' .. stage)
end

-- text_in returns the text of a field of a JSON record as it stands there, at most its first bytes.
-- An escape sequence that this would cut is left out.
local function text_in(record, name, most)
  local _, before = string.find(record, '"' .. name .. '"%s*:%s*"')
  if not before then return '' end
  local stop = string.find(record, '["\\]', before + 1)
  while stop and string.sub(record, stop, stop) ~= '"' do stop = string.find(record, '["\\]', stop + 2) end
  local text = string.sub(record, before + 1, (stop or #record + 1) - 1)
  if #text <= most then return text end
  return (string.gsub(string.sub(text, 1, most), '\\+u?%x?%x?%x?$', ''))
end

-- most_frequent describes the most frequent ones of error groups, a line for each.
local function most_frequent(groups)
  table.sort(groups, function(a, b)
    if a.count == b.count then return a.key < b.key end
    return a.count > b.count
  end)
  local lines = {}
  for i = 1, math.min(8, #groups) do
    local g = groups[i]
    lines[i] = string.format('%s %d ', string.sub(g.key, 1, 32), g.count) ..
      '{"code":"' .. text_in(g.sample, 'code', 64) .. '","msg":"' .. text_in(g.sample, 'msg', 200) .. '"}'
  end
  return table.concat(lines, '\n')
end

-- note_run keeps the work of a stage that has gone. A process without the right to do so goes on.
local function note_run(runs, stage, seq, n, failed, times, groups, ...)
  redis.pcall('XADD', runs, 'MAXLEN', '~', 2000, '*', 'stage', stage, 'seq', seq, 'n', n, 'failed', failed,
    'times', table.concat(times, ' '), 'errors', most_frequent(groups), ...)
end

-- note_stage keeps the work of a stage that goes, unless its flow never had an item. ins and outs are the
-- names of its queues.
local function note_stage(prefix, stage, record, ins, outs)
  local function pairs_of(kind) -- none if the process may not read the counts
    local all = redis.pcall('HGETALL', prefix .. kind .. ':' .. stage)
    return all.err and {} or all
  end
  local function described(names) -- the queues, the items that came to them, and when the last one was made
    local list, sum, made = {}, 0, 0
    for i, name in ipairs(names) do
      local q = redis.call('HMGET', prefix .. 'm:' .. name, 'inc', 'items', 'fused', 'made')
      local items = (tonumber(q[2]) or 0) + (tonumber(q[3]) or 0)
      sum, made = sum + items, math.max(made, tonumber(q[4]) or 0)
      if i <= 32 then list[i] = string.format('%s %d', q[1] or '-', items) end
    end
    return table.concat(list, ' '), sum, made
  end
  local from, came, made = described(ins)
  local flow = redis.call('HGET', prefix .. 'm:' .. ins[1], 'flow')
  if not flow or flow == '' then flow = ins[1] end
  if came == 0 and (tonumber(redis.call('HGET', prefix .. 'm:' .. flow, 'items')) or 0) == 0 then return end
  local to, _, later = described(outs)
  local totals, times, groups = {}, {}, {}
  local all = pairs_of('t')
  for i = 1, #all, 2 do
    local bucket = string.match(all[i], '^b(%-?%d+)$')
    if bucket then times[#times + 1] = bucket .. ' ' .. all[i + 1] end
    totals[all[i]] = all[i + 1]
  end
  all = pairs_of('err')
  for i = 1, #all, 2 do
    groups[#groups + 1] = {key = all[i], count = tonumber(string.match(all[i + 1], '^%d+')) or 0, sample = all[i + 1]}
  end
  note_run(prefix .. 'runs', stage, string.match(record, '"seq"%s*:%s*(%d+)') or '0', totals.n or 0, totals.failed or 0, times, groups,
    'kind', text_in(record, 'kind', 64), 'fn', text_in(record, 'fn', 64), 'flow', flow,
    'made', string.format('%d', math.max(made, later)), 'ins', from, 'outs', to)
end
