package integration

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// forged returns the fields of entries that no process of this project writes.
func forged(real string) [][]any {
	many := make([]any, 0, 10_000)
	for range 5_000 {
		many = append(many, "s", "evil")
	}
	deep := strings.Repeat(`{"code":`, 20_000)
	return [][]any{
		{"x", "y"}, {"s", "evil"}, {"s", "evil", "o", 0, "n", 1}, {"s", "", "o", 0, "n", 1, "p", "\x01\x02a"}, many,
		{"s", "evil", "o", -1, "n", 5, "p", "\x01\x02a"}, {"s", "evil", "o", 0, "n", -5, "p", "\x01\x02a"},
		{"s", "evil", "o", int64(math.MaxInt64), "n", int64(math.MaxInt64), "p", "\x01\x02a"},
		{"s", "evil", "o", int64(math.MaxInt64 - 1), "n", 1, "p", "\x01\x021"},
		{"s", "evil", "o", 0, "n", int64(1) << 40, "p", "\x01\x02a"}, {"s", "evil", "o", 0, "n", int64(1) << 40, "e", `{"code":"lost"}`},
		{"s", "evil", "o", "zero", "n", "one", "p", "\x01\x02a"}, {"s", "evil", "o", "99999999999999999999", "n", "1e3", "p", "a"},
		{"s", "evil", "o", 0, "n", 1, "p", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"}, {"s", "evil", "o", 0, "n", 1, "p", "\x01\x80"},
		{"s", "evil", "o", 0, "n", 1, "p", "\x02\x021"}, {"s", "evil", "o", 0, "n", 3, "p", "\x01\x021"}, {"s", "evil", "o", 0, "n", 1, "p", ""},
		{"s", "\xff\xfe~\x00", "o", 0, "n", 1, "p", "\x01\x021"}, {"s", "evil", "o", 0, "n", 1, "f", "nothing"},
		{"s", "evil", "o", 0, "n", 1, "f", "typed"}, {"s", "evil", "o", 0, "n", 1, "f", strings.Repeat("k", 1<<16)},
		{"s", "evil", "o", 5, "n", 1, "e", "no JSON"}, {"s", "evil", "o", 6, "n", 1, "e", deep}, {"s", "evil", "o", 7, "n", 1, "p", "\x01\x03{"},
		{"s", "evil", "o", 8, "n", 1, "k", "99999999999999999999", "a", -7, "p", "\x01\x021"},
		{"s", "evil", "o", 9, "n", 1, "k", 4, "a", int64(math.MaxInt64), "p", "\x01\x021"},
		{"s", "evil", "o", 10, "n", 1, "c", "x", "b", int64(math.MinInt64), "p", "\x01\x021"},
		{"s", real, "o", int64(1) << 40, "n", 1, "p", "\x01\x021"}, {"s", real, "o", -3, "n", 6, "p", "\x01\x021"},
	}
}

// hints are messages that no process of this project sends.
var hints = [][]any{
	{"x", "y"}, {"m", "done"}, {"m", "done", "w", "s 0 9223372036854775807"}, {"m", "done", "w", "s -9223372036854775808 -1"},
	{"m", "done", "w", strings.Repeat("s ", 1<<16)}, {"m", "\xff", "w", "\x00"}, {"m", "gone", "w", "another"},
	{"m", "stages", "w", "{"}, {"m", "room", "w", strings.Repeat("r", 1<<20)}, {"m", "cancel", "w", "s 9223372036854775807 1 2 3"}, {"m", "end"},
}

// Foreign data in queues, mailboxes and records costs little, and all regular items arrive.
func TestForgedEntriesAreHarmless(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer raw.Close()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	ex := connected(t, server.URL())
	gate := make(chan int, 10_000)
	in, err := bridge.Scatter(t.Context(), ex, gate)
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), inc, in)
	if err != nil {
		t.Fatal(err)
	}
	stop := employ(t, server.URL(), workers.Functions(inc))
	results, err := bridge.Gather(t.Context(), out, bridge.Buffer(20_000))
	if err != nil {
		t.Fatal(err)
	}
	gate <- 0
	if r := <-results; r.Value != 1 || r.Err != nil {
		t.Fatalf("the first result is %+v", r)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	forge(t, raw, in.Name(), out.Name())
	const n = 3000
	for i := range n {
		gate <- 1000 + i
	}
	close(gate)
	next := 1001
	for r := range results {
		if r.Err == nil && r.Value == next {
			next++
		}
	}
	if next != 1001+n {
		t.Errorf("%d of %d items arrived", next-1001, n)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 1<<30 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
	future, err := executor.Submit(t.Context(), ex, inc, 1)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := future.Result(t.Context()); v != 2 || err != nil {
		t.Errorf("a future is %d, %v", v, err)
	}
	testkit.Eventually(t, func() bool { return raw.ZCard(t.Context(), "{dq:0}:due").Val() == 0 }, "what cannot be brought back is no longer due")
	stop()
}

// A stage that is not the consumer of a queue takes no entry of it, in whatever order a worker
// finds the stages.
func TestStageThatIsNotConsumerTakesNoEntries(t *testing.T) {
	t.Parallel()
	for _, record := range []string{
		`{"v":1,"id":"x","seq":9223372036854775807,"kind":"copy","ins":[{"q":"orders"}]}`,
		`{"v":1,"id":"x","seq":9223372036854775807,"kind":"copy","ins":[{"q":"orders","inc":"INC"}]}`,
		`{"v":1,"id":"x","seq":1,"kind":"map","fn":"inc","incodec":"json","intype":"int","outcodec":"json","outtype":"int","ins":[{"q":"orders","inc":"INC"}]}`,
	} {
		server := testkit.StartRedis(t)
		raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
		inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
		in, err := bridge.ScatterSeq(t.Context(), connected(t, server.URL()), slices.Values(make([]int, 2000)), bridge.Name("orders"), bridge.Seal())
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), inc, in)
		if err != nil {
			t.Fatal(err)
		}
		record = strings.ReplaceAll(record, "INC", raw.HGet(t.Context(), "{dq:0}:m:orders", "inc").Val())
		if err := errors.Join(raw.HSet(t.Context(), "{dq:0}:stages", "x", record).Err(), raw.Close()); err != nil {
			t.Fatal(err)
		}
		stop := employ(t, server.URL(), workers.Functions(inc))
		n := 0
		for v, err := range bridge.All(t.Context(), out) {
			if n++; v != 1 || err != nil {
				t.Fatalf("result %d is %d, %v", n, v, err)
			}
		}
		if n != 2000 {
			t.Errorf("%d results beside %s", n, record)
		}
		stop()
	}
}

// forge writes every kind of wrong data to every place.
func forge(t *testing.T, raw *redis.Client, in, out string) {
	t.Helper()
	const prefix = "{dq:0}:"
	ctx := t.Context()
	source := raw.ZRange(ctx, prefix+"src:"+in, 0, -1).Val()
	mailboxes := raw.Keys(ctx, prefix+"p:*").Val()
	if len(source) != 1 || len(mailboxes) < 3 {
		t.Fatalf("%d sources, %d mailboxes", len(source), len(mailboxes))
	}
	var failed error
	for _, fields := range forged(source[0]) {
		for _, stream := range []string{"q:" + in, "r:" + in, "q:" + out} {
			failed = errors.Join(failed, raw.XAdd(ctx, &redis.XAddArgs{Stream: prefix + stream, Values: fields}).Err())
		}
		failed = errors.Join(failed, raw.XAdd(ctx, &redis.XAddArgs{Stream: prefix + "l:" + in, ID: "5-*", Values: fields}).Err())
	}
	for _, mailbox := range mailboxes {
		for _, hint := range hints {
			failed = errors.Join(failed, raw.XAdd(ctx, &redis.XAddArgs{Stream: mailbox, Values: hint}).Err())
		}
	}
	for _, member := range []string{"", " ", in, in + " x", in + " 5-0", in + " 5-1", in + " 99999999999999999999-1", "no-queue 5-0"} {
		failed = errors.Join(failed, raw.ZAdd(ctx, prefix+"due", redis.Z{Score: 1, Member: member}).Err())
	}
	for i, record := range []string{
		"", "[]", "{", `{"v":2}`, `{"v":1,"id":"x","kind":"map","fn":"inc"}`, `{"v":1,"id":"x","kind":"map","fn":"inc","incodec":"json","intype":"int","outcodec":"json","outtype":"int"}`,
		`{"v":1,"id":"x","kind":"copy","ins":[{"q":"` + in + `"}]}`, `{"v":1,"id":"x","kind":"?","ins":[{"q":"a}b"}],"outs":[{}],"retries":-9,"timeout":-1}`,
		strings.Repeat("[", 100_000),
	} {
		failed = errors.Join(failed, raw.HSet(ctx, prefix+"stages", "forged"+strings.Repeat("'", i), record).Err())
	}
	failed = errors.Join(failed,
		raw.LPush(ctx, prefix+"f:typed", "x").Err(),
		raw.HSet(ctx, prefix+"w:ghost", "functions", strings.Repeat("[", 100_000), "concurrency", "-1", "seen", "x").Err(),
		raw.ZAdd(ctx, prefix+"workers", redis.Z{Score: math.Inf(1), Member: "ghost"}).Err())
	if failed != nil {
		t.Fatal(failed)
	}
}
