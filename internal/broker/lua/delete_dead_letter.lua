-- delete_dead_letter.lua: deletes a dead letter with its payload
-- KEYS 1 dead  dead
-- KEYS 2 payload  f:<id>  left out if the letter has none
-- ARGV 1 id  of the letter
-- reply 1  the letter was there
-- reply 0  it was not there
local there = redis.call('XDEL', KEYS[1], ARGV[1])
if KEYS[2] then redis.call('UNLINK', KEYS[2]) end
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end
return there
