package differential

import "testing"

// Scripts return, raise and catch the same values on both.
func TestScriptsReplyAlike(t *testing.T) {
	both := twins(t)
	for _, script := range []string{
		`return 1.9`, `return -1.9`, `return 'text'`, `return true`, `return false`, `return nil`, `return`, `return {}`,
		`return {1, 'two', {3, {4}}, false, 5, nil, 6}`, `return {ok = 'fine'}`, `return {err = 'BAD luck'}`,
		`return redis.status_reply('fine')`, `return redis.error_reply('BAD luck')`, `return redis.error_reply('-BAD luck')`,
		`return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], #KEYS, #ARGV}`,
		`return redis.call('SET', KEYS[1], 12)`, `return redis.call('SET', KEYS[1], 1.5)`, `return redis.call('GET', KEYS[1])`,
		`return redis.call('SET', KEYS[1], 12345678901234)`, `return redis.call('GET', KEYS[1])`, `return redis.call('GET', 'none')`,
		`return type(redis.call('GET', 'none'))`, `return redis.call('SET', KEYS[1], 'x').ok`,
		`return redis.call('HSET', KEYS[1], 'a', 'b')`, `return redis.pcall('HSET', KEYS[1], 'a', 'b')`,
		`return redis.pcall('HSET', KEYS[1], 'a', 'b').err`, `return redis.call('NONE')`, `return redis.pcall('NONE')`, `return redis.call()`,
		`return redis.call('SET', KEYS[1])`, `return redis.call('SET', KEYS[1], {})`, `return redis.call('SET', KEYS[1], true)`,
		`local done, e = pcall(redis.call, 'HSET', KEYS[1], 'a', 'b') return {tostring(done), type(e), e.err}`,
		`local done, e = pcall(function() error('text') end) return tostring(done)`, `error('BAD')`, `error({err = 'BAD luck'})`,
		`local t = nil return t.x`, `return none`, `none = 1`, `return 'a' .. 1`, `return string.format('%d %s %5.2f', 3, 'x', 1.5)`,
		`return {string.match('12-34', '(%d+)-(%d+)')}`, `local n = 0 for _ in string.gmatch('a b c', '%a') do n = n + 1 end return n`,
		`return {math.floor(1.7), math.max(1, 2), math.min(3, 2), tonumber('12'), tostring(tonumber('x'))}`,
		`local t = {} for i = 1, 300 do t[i] = i end return redis.call('SADD', KEYS[2], unpack(t))`, `return redis.call('SCARD', KEYS[2])`,
		`redis.call('ZADD', 'z', 1.5, 'a', 2, 'b') return redis.call('ZRANGE', 'z', 0, -1, 'WITHSCORES')`,
		`redis.call('XADD', 's', '1-1', 'f', 'v') return redis.call('XRANGE', 's', '-', '+')`,
		`redis.call('XGROUP', 'CREATE', 's', 'g', 0) return redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 1000, 'STREAMS', 's', '>')`,
		`return redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 1000, 'STREAMS', 's', '>')`, `return redis.call('XINFO', 'GROUPS', 's')[1][2]`,
		`return redis.call('EVAL', 'return 1', 0)`, `return (`, `redis.call('SET', 'half', 1) error('done')`, `return redis.call('GET', 'half')`,
	} {
		both.Do("EVAL", script, "2", "one", "two", "arg", "", "3")
	}
	sha, _ := both.Do("SCRIPT", "LOAD", "return ARGV[1]")
	both.Do("EVALSHA", sha.Text, "0", "x")
	both.Do("SCRIPT", "EXISTS", sha.Text, "none")
	both.Do("EVALSHA", "none", "0")
	both.Do("EVAL", "return 1", "2", "one")
	both.Do("EVAL", "return 1", "-1")
	both.Do("SCRIPT", "FLUSH")
	both.Do("EVALSHA", sha.Text, "0", "x")
	both.Compare()
}
