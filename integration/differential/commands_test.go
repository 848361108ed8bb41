package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// commandForms are command templates. Single upper-case letters are placeholders, see filled.
var commandForms = strings.Split(strings.TrimSpace(`
SET K V
SET K V NX
SET K V XX PX 150000
SET K V KEEPTTL
SET K V NX EX 0
SETNX K V
GET K
MGET K K K
STRLEN K
INCR K
INCRBY K N
DEL K
UNLINK K K
EXISTS K K
TYPE K
PEXPIRE K 150000
EXPIRE K -1
PEXPIREAT K 99999999999999
PTTL K
PERSIST K
DBSIZE
HSET K V V V V
HSETNX K V V
HGET K V
HMGET K V V
HGETALL K
HDEL K V V
HEXISTS K V
HINCRBY K V N
HLEN K
HKEYS K
HVALS K
HSCAN K 0 COUNT 100
HSCAN K 0 MATCH v*
SSCAN K 0 MATCH ?
ZSCAN K 0
SADD K V V
SREM K V V
SMEMBERS K
SCARD K
SISMEMBER K V
SRANDMEMBER K 100
SRANDMEMBER K 0
SRANDMEMBER K x
ZADD K S V S V
ZADD K NX S V
ZADD K XX S V
ZINCRBY K S V
ZREM K V V
ZSCORE K V
ZCARD K
ZCOUNT K S (S
ZRANGE K N N
ZRANGE K N N REV WITHSCORES
ZREVRANGE K N N WITHSCORES
ZRANGE K (S S BYSCORE LIMIT 0 2
ZRANGE K S -inf BYSCORE REV
ZRANGEBYSCORE K S +inf WITHSCORES LIMIT N N
ZRANGEBYSCORE K -inf +inf LIMIT -1 2
ZREVRANGEBYSCORE K (S -inf LIMIT 0 1
ZREMRANGEBYRANK K N N
ZREMRANGEBYSCORE K S (S
XADD K * V V
XADD K NOMKSTREAM * V V V V
XADD K NOMKSTREAM MAXLEN 3 * V V
XADD K I V V
XADD K MINID I * V V
XLEN K
XDEL K I I
XTRIM K MAXLEN 4
XTRIM K MINID I
XRANGE K - +
XRANGE K I + COUNT 2
XRANGE K (I (I
XREVRANGE K + - COUNT 2
XREVRANGE K (I I
XGROUP CREATE K G 0
XGROUP CREATE K G $ MKSTREAM
XGROUP CREATE K G I
XGROUP SETID K G I
XGROUP DESTROY K G
XGROUP CREATECONSUMER K G C
XGROUP DELCONSUMER K G C
XREAD COUNT 2 STREAMS K K I 0
XREAD STREAMS K $
XREADGROUP GROUP G C STREAMS K >
XREADGROUP GROUP G C COUNT 2 STREAMS K K > >
XREADGROUP GROUP G C NOACK COUNT 1 STREAMS K >
XREADGROUP GROUP G C COUNT 2 STREAMS K 0
XREADGROUP GROUP G C STREAMS K K I >
XACK K G I I
XPENDING K G
XPENDING K G - + 10
XPENDING K G I + 2 C
XPENDING K G IDLE 2 - + 10
XCLAIM K G C 0 I I
XCLAIM K G C 0 I FORCE JUSTID
XCLAIM K G C 3 I RETRYCOUNT 7 IDLE 100
XAUTOCLAIM K G C 0 0-0 COUNT 2
XAUTOCLAIM K G C 2 I JUSTID
XINFO GROUPS K
XINFO CONSUMERS K G
GET
XADD K 1-1
XREAD STREAMS K
XREADGROUP GROUP G C STREAMS K
XPENDING K G - +
ZRANGE K x 1
HINCRBY K V x
`), "\n")

// filled replaces the placeholders for keys, values, numbers, scores, ids, groups and consumers. It
// uses ids of existing entries, if there are any.
func filled(form string, r *rand.Rand, ids []string) []string {
	kinds := map[string][]string{
		"K": {"a", "b", "c", "d"}, "V": {"u", "v", "w", "7", ""}, "N": {"0", "1", "2", "-1", "-2", "5"},
		"S": {"0", "1", "1.5", "-3", "0.1", "inf", "-inf"}, "G": {"g", "h"}, "C": {"x", "y"},
		"I": append([]string{"0", "1-1", "5-3", "7", "9999999999999-1"}, ids...),
	}
	args := strings.Fields(form)
	for i, arg := range args {
		bare := strings.TrimPrefix(arg, "(")
		if of := kinds[bare]; of != nil {
			args[i] = strings.TrimSuffix(arg, bare) + of[r.IntN(len(of))]
		}
	}
	return args
}

// unsettled are commands with unordered replies or known differences, which the comparison of a
// script cannot allow for.
var unsettled = map[string]bool{
	"SMEMBERS": true, "SRANDMEMBER": true, "SSCAN": true, "HSCAN": true, "ZSCAN": true, "HGETALL": true, "HKEYS": true, "HVALS": true, "XINFO": true, "PTTL": true, "XPENDING": true,
}

// Random commands in random order, some of them inside scripts, have the same replies and leave the
// same data.
func TestRandomCommands(t *testing.T) {
	both := twins(t)
	for seed := range uint64(24) {
		r := rand.New(rand.NewPCG(seed, 1))
		both.Do("FLUSHALL")
		var ids []string
		var log []string
		for range 400 {
			form := commandForms[r.IntN(len(commandForms))]
			if r.IntN(3) > 0 { // most are about one type
				for !strings.HasPrefix(form, "X") {
					form = commandForms[r.IntN(len(commandForms))]
				}
			}
			args := filled(form, r, ids)
			sent := args
			if r.IntN(4) == 0 && !unsettled[args[0]] {
				sent = append([]string{"EVAL", "return redis.pcall(unpack(ARGV))", "0"}, args...)
			}
			log = append(log, fmt.Sprintf("%q", sent))
			reply, _ := both.Do(sent...)
			if args[0] == "XADD" && reply.Kind == '$' && !reply.Null {
				ids = append(ids, reply.Text)
				ids = ids[max(0, len(ids)-6):]
			}
			if t.Failed() {
				t.Fatalf("seed %d, behind\n%s", seed, strings.Join(log[max(0, len(log)-40):], "\n"))
			}
		}
		both.Compare()
		if t.Failed() {
			t.Fatalf("seed %d, behind\n%s", seed, strings.Join(log, "\n"))
		}
	}
}
