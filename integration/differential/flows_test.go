package differential

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// For all these flows, the embedded broker and a redis-server send the same replies and keep the
// same data.
func TestEmbeddedBrokerMatchesRedis(t *testing.T) {
	both := twins(t)
	for _, flow := range []struct {
		name string
		run  func(*testing.T, *testkit.Differential)
	}{
		{"streams", streams}, {"futures", futures}, {"failures", failures}, {"names", names}, {"partitions", partitions},
		{"bounds", bounds}, {"deaths", deaths}, {"strangers", strangers}, {"verbs", verbs}, {"deleted", deleted}, {"handover", handover}, {"nacked", nacked}, {"operated", operated}, {"rings", rings},
		{"limited", limited}, {"expires", expires},
	} {
		t.Run(flow.name, func(t *testing.T) { flow.run(t, both) })
		both.Compare()
	}
	ran := both.Ran()
	scripts, err := filepath.Glob("../../internal/broker/lua/*.lua")
	if err != nil || len(scripts) < 20 {
		t.Fatal(scripts, err)
	}
	// hint.lua is sent while the memory is full, which it is on neither side, and payloads.lua about the
	// keys of a SCAN, whose order differs.
	others := []string{"lib.lua", "lib_limits.lua", "lib_rings.lua", "hint.lua", "payloads.lua"}
	for _, script := range scripts {
		if name := filepath.Base(script); !slices.Contains(others, name) && ran[name] == 0 {
			t.Errorf("no flow has sent %s", name)
		}
	}
	for _, verb := range []string{"XREADGROUP", "XREAD", "XAUTOCLAIM", "XACK", "XDEL", "SET", "GET", "MGET", "UNLINK", "ZRANGE", "HGETALL"} {
		if ran[verb] == 0 {
			t.Errorf("no flow has sent %s", verb)
		}
	}
	for _, why := range both.Unseen() {
		t.Errorf("this difference is no longer there, take it out: %s", why)
	}
	t.Logf("compared: %v", ran)
}

// streams runs two stages, large items, a multiplex with a merge, and Map2.
func streams(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=streams"
	employ(t, url, inc, double)
	ex := connect(t, url)
	yields(t, stage(t, double, stage(t, inc, scatter(t, ex, numbers(40, same)))), numbers(40, func(i int) int { return 2*i + 2 })...)
	branches := must(executor.Multiplex(t.Context(), 2, scatter(t, ex, numbers(10, same))))(t)
	merged := must(executor.Merge(t.Context(), stage(t, inc, branches[0]), stage(t, inc, branches[1])))(t)
	yields(t, merged, numbers(20, func(i int) int { return i/2 + 1 })...)
	both.Compare()
	sum := workers.Define2("sum", func(_ context.Context, a, b int) (int, error) { return a + b, nil })
	large := workers.Define("large", func(_ context.Context, s string) (string, error) { return s + s, nil })
	employ(t, url, sum, large)
	yields(t, must(executor.Map2(t.Context(), sum, scatter(t, ex, numbers(10, same)), scatter(t, ex, numbers(10, same))))(t),
		numbers(10, func(i int) int { return 2 * i })...)
	in := make(chan string, 3)
	for range 3 {
		in <- strings.Repeat("large", 1000)
	}
	close(in)
	texts := must(executor.Map(t.Context(), large, must(bridge.Scatter(t.Context(), ex, in))(t)))(t)
	n := 0
	for text, err := range bridge.All(t.Context(), texts) {
		if n++; err != nil || len(text) != 10_000 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
	}
	if n != 3 {
		t.Errorf("%d large items", n)
	}
}

func futures(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=futures"
	held := make(chan struct{})
	hold := workers.Define("hold", func(ctx context.Context, x int) (int, error) {
		close(held)
		<-ctx.Done()
		return x, ctx.Err()
	})
	employ(t, url, inc, hold)
	ex := connect(t, url)
	all := must(executor.MapSlice(t.Context(), ex, inc, numbers(20, same)))(t)
	if got := must(executor.GatherSlice(t.Context(), all))(t); len(got) != 20 || got[19] != 20 {
		t.Errorf("futures yield %v", got)
	}
	canceled := must(executor.Submit(t.Context(), ex, hold, 1))(t)
	<-held
	both.Compare()
	if err := canceled.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	n := 0
	for f, err := range executor.Futures(t.Context(), stage(t, inc, scatter(t, ex, numbers(10, same)))) {
		if n++; err != nil || must(f.Result(t.Context()))(t) != n {
			t.Errorf("future %d: %v", n, err)
		}
	}
}

// failures runs errors, retries, and items that kill their workers.
func failures(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=failures"
	var calls atomic.Int64
	flaky := workers.Define("flaky", func(_ context.Context, x int) (int, error) {
		switch {
		case x == 3 && calls.Add(1) < 3:
			return 0, errors.New("not yet")
		case x == 5:
			return 0, errors.New("never")
		}
		return x, nil
	})
	employ(t, url, flaky)
	ex := connect(t, url)
	got, failed := gather(t, stage(t, flaky, scatter(t, ex, numbers(8, same)), executor.Retries(3), executor.Backoff(5*time.Millisecond, 10*time.Millisecond)))
	if len(got) != 7 || len(failed) != 1 {
		t.Errorf("it yields %v and %v", got, failed)
	}
}

// names runs queues that outlive their producers and gathers.
func names(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=names"
	stop := employ(t, url, inc)
	first, second := connect(t, url), connect(t, url)
	q := scatter(t, first, numbers(12, same), bridge.Name("numbers"), bridge.DurableSource("me"))
	out := stage(t, inc, q, executor.Name("more"))
	if err := first.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return must(out.Len(t.Context()))(t) == 12 }, "all are through")
	both.Compare()
	open := must(executor.Open[int](t.Context(), second, "more"))(t)
	n := 0
	for v, err := range bridge.All(t.Context(), open) {
		if n++; err != nil || v != n {
			t.Fatalf("%d, %v", v, err)
		}
		if n == 6 {
			break
		}
	}
	if err := q.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := must(executor.Open[int](t.Context(), first, "more"))(t)
	yields(t, again, 7, 8, 9, 10, 11, 12)
	stop()
	for _, list := range []error{
		func() error { _, err := first.Queues(t.Context()); return err }(), func() error { _, err := first.Stages(t.Context()); return err }(),
		func() error { _, err := first.Workers(t.Context()); return err }(), func() error { _, err := first.Functions(t.Context()); return err }(),
		second.Delete(t.Context(), "more"), second.Delete(t.Context(), "numbers"),
	} {
		if list != nil {
			t.Error(list)
		}
	}
}

// partitions runs named flows, each in a partition of its own.
func partitions(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=partitions&partitions=3"
	employ(t, url, inc)
	for _, name := range []string{"first", "second"} {
		ex := connect(t, url)
		yields(t, stage(t, inc, scatter(t, ex, numbers(10, same), bridge.Name(name), bridge.Seal())), numbers(10, next)...)
		both.Compare()
		if err := ex.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// bounds runs full queues, windows, and dropped items.
func bounds(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=bounds"
	ex := connect(t, url)
	q := scatter(t, ex, numbers(30, same), bridge.MaxSize(5))
	out := stage(t, inc, q, executor.MaxSize(4))
	testkit.Eventually(t, func() bool { return must(q.Len(t.Context()))(t) == 5 }, "a queue that is full")
	both.Compare()
	employ(t, url, inc)
	yields(t, out, numbers(30, next)...)
	yields(t, stage(t, inc, scatter(t, ex, numbers(30, same), bridge.MaxInFlight(4))), numbers(30, next)...)
	for _, policy := range []bridge.OverflowPolicy{bridge.OverflowDropOldest, bridge.OverflowDropNewest} {
		dropping := scatter(t, ex, numbers(20, same), bridge.MaxSize(3), bridge.Overflow(policy))
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, failed := gather(t, dropping); len(got)+len(failed) != 20 || len(failed) == 0 {
			t.Errorf("there come %v and %d that were dropped", got, len(failed))
		}
	}
}

// deaths runs the death of workers and of an executor: their connections stop.
func deaths(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=deaths"
	proxy := testkit.NewProxy(t, both.Addr())
	var stuck atomic.Bool
	gate := make(chan struct{})
	slow := workers.Define("slow", func(_ context.Context, x int) (int, error) {
		if x == 3 && stuck.CompareAndSwap(false, true) {
			proxy.Pause()
			<-gate
		}
		return x + 1, nil
	})
	employ(t, proxy.URL()+"/?ns=deaths", slow)
	ex := connect(t, url)
	out := stage(t, slow, scatter(t, ex, numbers(12, same)))
	testkit.Eventually(t, stuck.Load, "a worker that stands still")
	employ(t, url, slow)
	yields(t, out, numbers(12, next)...)
	proxy.Resume()
	close(gate)

	far := must(executor.New(t.Context(), proxy.URL()+"/?ns=deaths", executor.Lease(lease)))(t)
	in := make(chan int, 1)
	in <- 1
	q := must(bridge.Scatter(t.Context(), far, in))(t)
	testkit.Eventually(t, func() bool { return must(q.Len(t.Context()))(t) == 1 }, "it is stored")
	proxy.Pause()
	heir := must(executor.Open[int](t.Context(), ex, q.Name()))(t)
	for v, err := range bridge.All(t.Context(), heir) {
		if v != 1 && !errors.Is(err, executor.ErrTruncated) {
			t.Errorf("%d, %v", v, err)
		}
	}
	proxy.Resume()
	close(in)
	if err := far.Close(); err != nil {
		t.Log(err) // it was fenced
	}
}

// strangers writes foreign entries, deletes held entries, and deletes consumers.
func strangers(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=strangers"
	raw := redis.NewClient(&redis.Options{Addr: both.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer raw.Close()
	ex := connect(t, url)
	in := make(chan int, 4)
	q := must(bridge.Scatter(t.Context(), ex, in, bridge.Name("open")))(t)
	out := stage(t, inc, q)
	if err := raw.XAdd(t.Context(), &redis.XAddArgs{Stream: "{strangers:0}:q:open", Values: []any{"s", "evil", "o", 0, "n", 1, "p", "?"}}).Err(); err != nil {
		t.Fatal(err)
	}
	employ(t, url, inc)
	letters := func() (ids []string) {
		for d, err := range ex.DeadLetters(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d.ID)
		}
		return ids
	}
	testkit.Eventually(t, func() bool { return len(letters()) == 1 }, "a dead letter")
	if err := ex.DeleteDeadLetter(t.Context(), letters()[0]); err != nil {
		t.Fatal(err)
	}
	in <- 1
	close(in)
	if err := q.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	yields(t, out, 2)
	if err := ex.Delete(t.Context(), "open"); err != nil {
		t.Error(err)
	}
}

// expires runs private results of a named pipeline, which then expires with all that waits in it.
func expires(t *testing.T, both *testkit.Differential) {
	ex := connect(t, both.URL()+"/?ns=expires")
	employ(t, both.URL()+"/?ns=expires", inc)
	orders := scatter(t, ex, numbers(5, same), bridge.Name("orders"), bridge.Expire(lease))
	charged := stage(t, inc, orders)
	mine := scatter(t, ex, numbers(30, same), bridge.Name("orders"), bridge.Private(charged.Name()))
	i := 0
	for v, err := range bridge.All(t.Context(), charged, bridge.ResultsOf(mine)) {
		if i++; v != i || err != nil {
			t.Errorf("%d, %v in the place of %d", v, err, i)
		}
	}
	if i != 30 {
		t.Errorf("%d results", i)
	}
	testkit.Eventually(t, func() bool { return len(must(ex.Queues(t.Context()))(t)) == 0 }, "the queues have expired")
}
