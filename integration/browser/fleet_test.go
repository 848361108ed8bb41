package browser

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

// rest waits for a time, or for the end of ctx.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// The functions of the fleet.
var (
	parse = workers.Define("parse", func(ctx context.Context, n int) (int, error) { return n, rest(ctx, 2*time.Millisecond) })
	price = workers.Define("price", func(ctx context.Context, n int) (int, error) { return n, rest(ctx, 150*time.Millisecond) })
	mail  = workers.Define("send-mail", func(ctx context.Context, n int) (int, error) {
		if n%9 == 0 {
			return 0, fmt.Errorf("mailbox %d@example.com does not exist", n)
		}
		if n%31 == 0 {
			return 0, errors.New("connection refused by mx.example.com:25")
		}
		return n, rest(ctx, 60*time.Millisecond)
	})
	render  = workers.Define("render", func(ctx context.Context, n int) (int, error) { return n, rest(ctx, time.Hour) })
	publish = workers.Define("publish", func(_ context.Context, n int) (int, error) { return n, nil })
)

// A fleet is a namespace with flows of every kind on a redis-server of its own, and workers.
type fleet struct {
	server *testkit.Server
	url    string
	ex     *executor.Executor
	raw    *redis.Client
}

// newFleet starts the server and three workers, and makes the flows.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{server: testkit.StartRedis(t)}
	f.url = f.server.URL() + "/?ns=shop"
	f.raw = redis.NewClient(&redis.Options{Addr: f.server.Addr()})
	t.Cleanup(func() { _ = f.raw.Close() })
	for range 3 {
		f.employ(t, workers.Concurrency(4), workers.Functions(parse, price, mail, render))
	}
	ex, err := executor.New(t.Context(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	f.ex = ex
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	f.flows(t)
	return f
}

// operator connects an Operator until the end of the test.
func (f *fleet) operator(t *testing.T) *operate.Operator {
	t.Helper()
	o, err := operate.New(t.Context(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// employ runs a worker until the end of the test.
func (f *fleet) employ(t *testing.T, opts ...workers.Option) {
	t.Helper()
	w, err := workers.New(f.url, append(opts, workers.DrainTimeout(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	t.Cleanup(func() {
		cancel()
		<-ended // the server may be gone
	})
}

// numbers yields the numbers below n.
func numbers(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// scatter adds numbers to a named queue.
func (f *fleet) scatter(t *testing.T, queue string, n int, opts ...bridge.ScatterOption) *executor.Queue[int] {
	t.Helper()
	q, err := bridge.ScatterSeq(t.Context(), f.ex, numbers(n), append(opts, bridge.Name(queue))...)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// mapped makes a stage.
func (f *fleet) mapped(t *testing.T, function workers.Func[int, int], in *executor.Queue[int], out string) *executor.Queue[int] {
	t.Helper()
	q, err := executor.Map(t.Context(), function, in, executor.Name(out))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// flows makes a flow that is slow, one that fails, one that hangs, one that no worker can run, and one
// that is full; and a dead letter.
func (f *fleet) flows(t *testing.T) {
	t.Helper()
	priced := f.mapped(t, price, f.mapped(t, parse, f.scatter(t, "orders", 30_000, bridge.Seal(), bridge.MaxBatch(5)), "parsed"), "priced")
	results, err := bridge.Gather(t.Context(), priced)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range results { // until the Executor is closed
		}
	}()
	f.mapped(t, mail, f.scatter(t, "mails", 4_000, bridge.MaxBatch(4)), "mails-sent")
	f.mapped(t, render, f.scatter(t, "videos", 3, bridge.MaxBatch(1)), "videos-done")
	f.mapped(t, publish, f.scatter(t, "articles", 120, bridge.Seal()), "published")
	f.scatter(t, "imports", 5_000, bridge.MaxSize(200), bridge.MaxBatch(10))
	err = f.raw.XAdd(t.Context(), &redis.XAddArgs{Stream: "{shop:0}:dead", Values: []any{
		"q", "videos", "s", "uploads-2026", "o", 7, "n", 1, "a", 0, "k", 5, "d", "w-1 1764446400000 render-04",
		"why", `{"code":"crashed","message":"5 workers died while they had the item"}`, "f", "\x01\x08" + `1234`,
	}}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// await takes snapshots until one fulfills a condition.
func (f *fleet) await(t *testing.T, what string, ok func(s inspect.Snapshot) bool) inspect.Snapshot {
	t.Helper()
	for deadline := time.Now().Add(limit); ; {
		s, err := f.ex.Snapshot(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok(s) {
			return s
		}
		if err := rest(t.Context(), 100*time.Millisecond); err != nil || time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// busy reports whether all parts of the fleet have reported work.
func busy(s inspect.Snapshot) bool {
	done := func(function string) bool {
		return slices.ContainsFunc(s.Stages, func(st inspect.Stage) bool { return st.Function == function && st.Done > 20 })
	}
	hangs := slices.ContainsFunc(s.Workers, func(w inspect.Worker) bool {
		return slices.ContainsFunc(w.Running, func(c inspect.Call) bool { return c.Function == "render" })
	})
	return done("price") && done("send-mail") && hangs
}
