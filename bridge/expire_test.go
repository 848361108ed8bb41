package bridge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// has reports whether a namespace has any queue or stage.
func has(t *testing.T, ex *executor.Executor) bool {
	t.Helper()
	return len(must(ex.Queues(t.Context()))(t))+len(must(ex.Stages(t.Context()))(t)) > 0
}

// A use of the flow of the queue orders, which ends when ctx does. A call of its function for 0 ends with the
// context in calls.
type use func(t *testing.T, ctx context.Context, ex *executor.Executor, out *executor.Queue[int], calls chan<- context.Context)

const unused = time.Minute

func usesOfAFlow() map[string]use {
	return map[string]use{
		"scatter": func(t *testing.T, ctx context.Context, ex *executor.Executor, _ *executor.Queue[int], calls chan<- context.Context) {
			must(bridge.Scatter(ctx, ex, make(chan int), bridge.Name("orders")))(t)
		},
		"producer": func(t *testing.T, ctx context.Context, ex *executor.Executor, _ *executor.Queue[int], calls chan<- context.Context) {
			must(bridge.NewProducer[int](ctx, ex, bridge.Name("orders")))(t)
		},
		"gather": func(t *testing.T, ctx context.Context, _ *executor.Executor, out *executor.Queue[int], calls chan<- context.Context) {
			must(bridge.Gather(ctx, out, bridge.Buffer(0)))(t)
		},
		"private gather": func(t *testing.T, ctx context.Context, ex *executor.Executor, out *executor.Queue[int], calls chan<- context.Context) {
			closed := make(chan int, 1)
			closed <- 0
			close(closed)
			call, cancel := context.WithCancel(t.Context())
			calls <- call
			mine := must(bridge.Scatter(ctx, ex, closed, bridge.Name("orders"), bridge.Private(out.Name())))(t)
			must(bridge.Gather(ctx, out, bridge.ResultsOf(mine), bridge.Buffer(0), bridge.ManualAck()))(t)
			cancel()
		},
		"call": func(t *testing.T, ctx context.Context, ex *executor.Executor, _ *executor.Queue[int], calls chan<- context.Context) {
			calls <- ctx
			scatter(t, ex, []int{0}, bridge.Name("orders"))
		},
		"short scatters": func(t *testing.T, ctx context.Context, ex *executor.Executor, _ *executor.Queue[int], calls chan<- context.Context) {
			for ; ctx.Err() == nil; <-time.After(unused / 2) {
				scatter(t, ex, []int{1}, bridge.Name("orders"))
			}
			scatter(t, ex, []int{1}, bridge.Name("orders"))
		},
	}
}

// Each use of a flow keeps its queues: a scatter, a gather, and a call of a worker. Behind the last one,
// the flow goes within one and a half times its time, and not before its time.
func TestANamedQueueExpiresOnceNoProcessUsesItsFlow(t *testing.T) {
	var calls chan context.Context // until whose end the call for 0 runs
	long := workers.Define("long", func(_ context.Context, x int) (int, error) {
		if x == 0 {
			<-(<-calls).Done()
		}
		return x, nil
	})
	for name, use := range usesOfAFlow() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls = make(chan context.Context, 1)
				ex := must(executor.New(t.Context(), ""))(t)
				register(t, ex, long)
				out := stage(t, long, scatter(t, ex, upTo(100)[1:], bridge.Name("orders"), bridge.Expire(unused)), executor.MaxSize(1000))
				ctx, cancel := context.WithCancel(t.Context())
				var ended time.Time
				time.AfterFunc(10*unused, func() { ended = time.Now(); cancel() })
				use(t, ctx, ex, out, calls)
				<-ctx.Done()
				<-time.After(unused - time.Second)
				if !has(t, ex) {
					t.Error("the flow is gone before its time")
				}
				<-time.After(unused/2 + 20*time.Second)
				if has(t, ex) {
					t.Errorf("the flow is there %v behind its last use", time.Since(ended))
				}
				if err := ex.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A queue without Expire stays, and a flow that a merge joins with another one does.
func TestOtherQueuesDoNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := must(executor.New(t.Context(), ""))(t)
		register(t, ex, inc)
		scatter(t, ex, upTo(10), bridge.Name("stays"))
		a := stage(t, inc, scatter(t, ex, upTo(10), bridge.Name("joined"), bridge.Expire(time.Minute)))
		b := scatter(t, ex, upTo(10), bridge.Name("other"))
		both := must(executor.Merge(t.Context(), a, b))(t)
		<-time.After(time.Hour)
		for _, queue := range []string{"stays", "joined", "other", both.Name()} {
			must(executor.Open[int](t.Context(), ex, queue))(t)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The last call with Expire decides, and one without it changes nothing.
func TestTheLastExpireDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := must(executor.New(t.Context(), ""))(t)
		shown := func(d time.Duration) {
			t.Helper()
			if queues := must(ex.Queues(t.Context()))(t); len(queues) != 1 || queues[0].Expires != d {
				t.Errorf("%+v: not %v", queues, d)
			}
		}
		scatter(t, ex, upTo(10), bridge.Name("orders"))
		shown(0)
		scatter(t, ex, upTo(10), bridge.Name("orders"), bridge.Expire(24*time.Hour))
		scatter(t, ex, upTo(10), bridge.Name("orders"), bridge.Expire(time.Minute))
		scatter(t, ex, upTo(10), bridge.Name("orders"))
		shown(time.Minute)
		<-time.After(2 * time.Minute)
		if has(t, ex) {
			t.Error("the queue is there")
		}
		scatter(t, ex, upTo(10), bridge.Name("orders"), bridge.Expire(time.Minute)) // a new one of the name
		got := values(t, scatter(t, ex, []int{10}, bridge.Name("orders"), bridge.Seal()))
		slices.Sort(got) // nothing says which scatter is first
		want(t, got, upTo(11)...)
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestExpireRefusesBadTimes(t *testing.T) {
	ex := connect(t, "")
	for text, opts := range map[string][]bridge.ScatterOption{
		"above 0":               {bridge.Name("orders"), bridge.Expire(-time.Second)},
		"must be above 0":       {bridge.Name("orders"), bridge.Expire(0)},
		"the lease":             {bridge.Name("orders"), bridge.Expire(9 * time.Second)},
		"Expire needs Name":     {bridge.Expire(time.Minute)},
		"lease of the Executor": {bridge.Name("orders"), bridge.Expire(time.Nanosecond)},
	} {
		if _, err := bridge.Scatter(t.Context(), ex, make(chan int), opts...); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: not %q", err, text)
		}
	}
	if has(t, ex) {
		t.Error("a call that was refused has made a queue")
	}
}

// A producer that is killed counts as gone after its lease. On a real server, no key of the flow is left:
// those of its many sources and of the items that wait in it neither.
func TestAQueueExpiresAfterItsProcessesAreKilled(t *testing.T) {
	t.Parallel()
	server, ns := testkit.SharedRedis(t).URL(), testkit.Namespace(t)
	url := server + "/?ns=" + ns
	ex := must(executor.New(t.Context(), url, executor.Lease(lease)))(t)
	kill, _ := startProducer(t, url, "")
	waitFor(t, func() bool { return has(t, ex) })
	for range 600 { // more than a look reads at a time
		scatter(t, ex, []int{1}, bridge.Name("orders"), bridge.Expire(lease))
	}
	q := must(executor.Open[int](t.Context(), ex, "orders"))(t)
	out := must(executor.Map(t.Context(), inc, q))(t)
	kill()
	waitFor(t, func() bool { return !has(t, ex) })
	waitFor(t, func() bool { // the last step of the deletion
		return !slices.Contains(testkit.Keys(t, server, "{"+ns+":*"), "{"+ns+":0}:expiring")
	})
	if _, err := bridge.Gather(t.Context(), out); !errors.Is(err, executor.ErrQueueNotFound) {
		t.Errorf("Gather: %v", err)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	for _, key := range testkit.Keys(t, server, "{"+ns+":*") {
		if !strings.HasSuffix(key, ":fenced") && !strings.HasSuffix(key, ":watcher") { // of the killed process
			t.Errorf("the key %s is left", key)
		}
	}
}

// A queue that expires and is deleted before leaves nothing, also if that takes several calls.
func TestAQueueThatExpiresCanBeDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for _, n := range []int{1, 600} {
			for range n {
				scatter(t, ex, []int{1}, bridge.Name("orders"), bridge.Expire(time.Hour))
			}
			if err := ex.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			q := must(executor.Open[int](t.Context(), ex, "orders"))(t)
			if err := q.Delete(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
