-- partitions.lua: tells the number of partitions of a namespace; its first client fixes it
-- KEYS 1 space  space  of partition 0
-- KEYS 2 workers  workers
-- KEYS 3 executors  executors
-- KEYS 4 queues  queues
-- ARGV 1 wanted  number of partitions; 0: any
-- reply partitions  their number
local n = redis.call('HGET', KEYS[1], 'partitions')
if n then return tonumber(n) end
if tonumber(ARGV[1]) <= 1 then return 1 end
if redis.call('ZCARD', KEYS[2]) + redis.call('ZCARD', KEYS[3]) + redis.call('SCARD', KEYS[4]) > 0 then return 1 end
redis.call('HSET', KEYS[1], 'partitions', ARGV[1])
return tonumber(ARGV[1])
