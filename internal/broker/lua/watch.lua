-- watch.lua: reads the sources of a root queue that have changed, and has the gather told of
--   further changes
-- KEYS 1 root  m:<root queue>
-- KEYS 2 sources  src:<root queue>
-- KEYS 3 watch  watch:<root queue>
-- KEYS 4 meta  m:<queue>  that is gathered
-- KEYS 5 delivered  d:<queue>  that is gathered
-- ARGV 1 mailbox  key of the mailbox of the gather
-- ARGV 2 sources  prefix of source keys, the prefix of all keys and s:
-- ARGV 3 queue  that is gathered; from now on the window counts
-- ARGV 4 branch  that the items took on the way from the root queue
-- ARGV 5 reader  incarnation of the gathered queue and epoch of the gather, with a space between
-- ARGV 6 after  number of the last change that the gather knows, 0 for all
-- ARGV 7 count  most changes that are read
-- ARGV 8+ names  {name}*  of sources to read as well
-- field name  of a source, without its branch
-- reply [status, last, more, replaced, {name, stored, end, cut, away, named, dropped}*]
-- reply ['gone']
-- reply ['fenced']
-- field last  number of the last change read
-- field more  1 if there are more
-- field replaced  stage that has replaced those before the gathered queue; empty: none has
-- field stored  offset up to which it is stored
-- field end  its end; -1: it has not ended
-- field cut  why it was given up; empty: it was not
-- field away  why no process adds to a named one; empty: one may
-- field named  1 if it outlives its executor
-- field dropped  items that policies have dropped
-- word open  further sources may join
-- word sealed  none can join; also for the private queue of a source
-- word gone  the root queue or the gathered queue is gone, or the one in whose place that is private
-- word fenced  another gather has the queue
local root = redis.call('HMGET', KEYS[1], 'sealed', 'dying', 'changes')
if not root[1] or root[2] then return {'gone'} end
local meta = redis.call('HMGET', KEYS[4], 'inc', 'gepoch', 'dying', 'replaced')
if not meta[1] or meta[3] then return {'gone'} end
if meta[1] .. ' ' .. (meta[2] or '') ~= ARGV[5] then return {'fenced'} end
redis.call('SREM', KEYS[3], '') -- a script that has begun to delete may add, also where the memory is full
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('PEXPIRE', ARGV[1], 600000) -- of a gather that dies, it goes by itself

local after = ARGV[6]
if tonumber(root[3] or 0) < tonumber(after) then after = '0' end -- Redis has lost the last writes
local last, private = private_of(ARGV[3])
local rows, replaced = {}, meta[4]
if private then -- it has one source
  local score = redis.call('ZSCORE', KEYS[2], private)
  if score and tonumber(score) > tonumber(after) then rows = {private, score} end
  local place = redis.call('HMGET', string.sub(ARGV[2], 1, -3) .. 'm:' .. last, 'inc', 'dying', 'replaced')
  if not place[1] or place[2] then return {'gone'} end
  replaced = place[3]
else
  rows = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[7])
end
local reply = {(private or root[1] == '1') and 'sealed' or 'open', rows[#rows] or after, #rows == 2 * tonumber(ARGV[7]) and 1 or 0, replaced or ''}
local leaf = 'g:' .. ARGV[3] .. ARGV[4]

local function add(name)
  if not private and private_of(name) == ARGV[3] then return end -- its items do not come here
  local source = redis.call('HMGET', ARGV[2] .. name, 'stored', 'end', 'cut', 'away', 'named', 'dropped', leaf, 'wait')
  if not source[1] or source[7] == 'end' then return end -- it is forgotten, or delivered here
  if not source[7] then
    local mark = redis.call('HGET', KEYS[5], name .. ARGV[4])
    redis.call('HSET', ARGV[2] .. name, leaf, string.match(mark or '0', '^%d+') or 0)
    if source[8] then tell(source[8], 'room', ARGV[3]) end
  end
  local row = {name, tonumber(source[1]), tonumber(source[2]), source[3] or '', source[4] or '', tonumber(source[5] or 0), tonumber(source[6] or 0)}
  for i = 1, #row do reply[#reply + 1] = row[i] end
end

for i = 1, #rows, 2 do add(rows[i]) end
for i = 8, #ARGV do
  if redis.call('ZSCORE', KEYS[2], ARGV[i]) then add(ARGV[i]) end
end
return reply
