-- reclaim.lua: requeues the entries of some queues that workers hold: one worker, or all that are
--   not in the registry
-- KEYS 1 workers  workers
-- KEYS 2 fenced  fenced
-- KEYS 3+ queues  {m:<queue>, q:<queue>, r:<queue>, x:<queue>}*  for each queue
-- ARGV 1 worker  whose entries are requeued; empty: those of all workers that are not in the
--   registry
-- ARGV 2 count  most entries that are requeued
-- ARGV 3 crashes  that are added to the count of each entry
-- ARGV 4 many  crashes that make an entry a suspect
-- ARGV 5+ names  {name}*  consumers whose names are removed, once they hold no entry
-- field name  of a consumer
-- reply [at, {key, error}*]  with the streams that cannot be requeued
-- field at  number of the queue at which count was reached, from 1: the next call begins with it;
--   0: all are done
-- field key  of a stream
-- field error  text of the error
local left = tonumber(ARGV[2])
local reply = {0}
local live = {}
local deaths = {}

local function is_live(worker)
  if live[worker] == nil then live[worker] = redis.call('ZSCORE', KEYS[1], worker) and true or false end
  return live[worker]
end

-- holders returns the consumers of a stream whose entries are requeued.
local function holders(stream)
  if ARGV[1] ~= '' then return {ARGV[1]} end
  local dead = {}
  for _, row in ipairs(redis.call('XPENDING', stream, 'w')[4] or {}) do
    if not is_live(row[1]) then dead[#dead + 1] = row[1] end
  end
  return dead
end

-- death_of describes the death of a worker: its id, the time, and its host as far as it is known.
local function death_of(worker)
  if not deaths[worker] then
    local host = string.match(redis.call('HGET', KEYS[2], 'w:' .. worker) or '', '^%S* %S* %S* (.*)$')
    deaths[worker] = string.format('%s %d %s', worker, now_ms(), host or '')
  end
  return deaths[worker]
end

-- add_death adds the death of a worker to the deaths of an entry, and keeps the last five.
local function add_death(entry, worker)
  local lines = {}
  for line in string.gmatch(field(entry, 'd') or '', '[^\n]+') do lines[#lines + 1] = line end
  if tonumber(ARGV[3]) > 0 then lines[#lines + 1] = death_of(worker) end
  if #lines == 0 then return nil end
  return table.concat(lines, '\n', math.max(1, #lines - 4))
end

-- requeue puts the entries of a stream that a consumer holds into r:, or into x: if it is a suspect.
local function requeue(stream, returns, suspects, consumer)
  local pending = redis.call('XPENDING', stream, 'w', '-', '+', left, consumer)
  if #pending == 0 then return end
  redis.call('XACK', stream, 'w', '0-0') -- a user without the right to remove must not add; and a script that has begun may add if the memory is full
  redis.call('XDEL', stream, '0-0')
  for _, row in ipairs(pending) do
    local entry = redis.call('XRANGE', stream, row[1], row[1])[1]
    if entry then
      local crashes = (tonumber(field(entry, 'k')) or 0) + tonumber(ARGV[3])
      local kind = field(entry, 'f') and 'f' or field(entry, 'e') and 'e' or 'p'
      put_back(returns, suspects, crashes >= tonumber(ARGV[4]), field(entry, 's') or '', field(entry, 'o') or 0,
        field(entry, 'n') or 0, field(entry, 'a') or 0, crashes, stamp_of(entry), kind, field(entry, kind) or '', nil, add_death(entry, consumer), field(entry, 'i'))
    end
    redis.call('XACK', stream, 'w', row[1])
    redis.call('XDEL', stream, row[1])
    left = left - 1
  end
end

local function work(stream, returns, suspects)
  for _, consumer in ipairs(holders(stream)) do
    if left > 0 then requeue(stream, returns, suspects, consumer) end
  end
  if left == 0 then return end
  for i = 5, #ARGV do
    if ARGV[1] == ARGV[i] or not is_live(ARGV[i]) then redis.call('XGROUP', 'DELCONSUMER', stream, 'w', ARGV[i]) end
  end
end

-- try lets a stream that is gone or no stream stop no other one.
local function try(stream, returns, suspects)
  local done, failure = pcall(work, stream, returns, suspects)
  if done then return end
  local text = tostring(type(failure) == 'table' and failure.err or failure)
  if not string.find(text, 'NOGROUP No such key', 1, true) then reply[#reply + 1], reply[#reply + 2] = stream, text end
end

-- ring announces a queue if some of its entries were requeued.
local function ring(meta, requeued)
  if requeued == 0 then return end
  local prefix, queue = string.match(meta, '^({[^}]*}:)m:(.*)$')
  announce(prefix, queue, redis.call('HGET', meta, 'ring'))
end

for i = 3, #KEYS, 4 do
  local before = left
  local reader = redis.pcall('HGET', KEYS[i], 'consumer')
  if ARGV[1] ~= '' or type(reader) == 'string' and string.find(reader, '^stage:') then -- a gather is in no registry of workers
    for part = 1, 3 do
      if left > 0 then try(KEYS[i + part], KEYS[i + 2], KEYS[i + 3]) end
    end
  end
  ring(KEYS[i], before - left)
  if left == 0 then
    reply[1] = (i + 1) / 4
    return reply
  end
end
return reply
