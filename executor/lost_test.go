package executor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// losses are the ways in which a server loses all its data.
var losses = map[string]func(t *testing.T, server *testkit.Server){
	"FLUSHALL": func(t *testing.T, server *testkit.Server) {
		t.Helper()
		raw := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
		if err := errors.Join(raw.FlushAll(t.Context()).Err(), raw.Close()); err != nil {
			t.Fatal(err)
		}
	},
	"restart": func(_ *testing.T, server *testkit.Server) { server.Restart() },
}

// checkLost reports an error that does not say that the data is lost with its node.
func checkLost(t *testing.T, call string, err error) {
	t.Helper()
	if !errors.Is(err, executor.ErrLost) || !strings.Contains(err.Error(), "lost with its node") || strings.Contains(err.Error(), "no such queue") {
		t.Errorf("%s: %v", call, err)
	}
}

// A lossy is an Executor on a server that loses its data while calls are under way.
type lossy struct {
	server *testkit.Server
	ex     *executor.Executor
	begun  chan struct{} // gets a token for each item that the function of a flow holds
	hold   workers.Func[int, int]
}

func newLossy(t *testing.T) lossy {
	t.Helper()
	broker.Quiet()
	l := lossy{server: testkit.StartRedis(t), begun: make(chan struct{}, 8)}
	l.hold = workers.Define("hold", func(ctx context.Context, x int) (int, error) {
		l.begun <- struct{}{}
		<-ctx.Done()
		return x, context.Cause(ctx)
	})
	ex, err := executor.New(t.Context(), l.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	if err := ex.Register(l.hold); err != nil {
		t.Fatal(err)
	}
	l.ex = ex
	return l
}

// The calls of a flow whose queues Redis has lost say so, and not that there is no such queue.
func TestLostFlowSaysSo(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			l, in := newLossy(t), make(chan int, 1)
			q := must(bridge.Scatter(t.Context(), l.ex, in))(t)
			held := must(executor.Map(t.Context(), l.hold, q))(t)
			out := must(bridge.Gather(t.Context(), held))(t)
			other := must(bridge.Scatter(t.Context(), l.ex, make(chan int)))(t)
			in <- 1
			<-l.begun
			lose(t, l.server)
			for r := range out {
				checkLost(t, "gather", r.Err)
			}
			<-q.Done()
			checkLost(t, "scatter", q.Err())
			_, err := other.Len(t.Context())
			checkLost(t, "len", err)
			_, err = executor.Map(t.Context(), l.hold, other)
			checkLost(t, "map", err)
			_, err = bridge.Gather(t.Context(), other)
			checkLost(t, "gather a queue that is lost", err)
			checkLost(t, "delete", other.Delete(t.Context()))
		})
	}
}

// The items of a scatter go to a queue that is lost, and no gather runs.
func TestScatterIntoLostQueueSaysSo(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			l, in := newLossy(t), make(chan int)
			q := must(bridge.Scatter(t.Context(), l.ex, in))(t)
			lose(t, l.server)
			in <- 1
			<-q.Done()
			checkLost(t, "scatter", q.Err())
		})
	}
}

func TestLostFutureSaysSo(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			l := newLossy(t)
			futures := must(executor.MapSlice(t.Context(), l.ex, l.hold, []int{1, 2}))(t)
			<-l.begun
			lose(t, l.server)
			_, err := futures[0].Result(t.Context())
			checkLost(t, "future", err)
			_, err = executor.GatherSlice(t.Context(), futures)
			checkLost(t, "list", err)
		})
	}
}

// Somebody deletes a queue: it is not lost. The watcher leaves meanwhile, and another process joins.
func TestDeletedQueueIsNotLost(t *testing.T) {
	l := newLossy(t)
	other := must(executor.New(t.Context(), l.server.URL()))(t)
	q := must(bridge.Scatter(t.Context(), other, make(chan int), bridge.Name("orders")))(t)
	if err := errors.Join(l.ex.Delete(t.Context(), "orders"), l.ex.Close()); err != nil {
		t.Fatal(err)
	}
	if err := must(executor.New(t.Context(), l.server.URL()))(t).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Len(t.Context()); errors.Is(err, executor.ErrLost) || !errors.Is(err, executor.ErrQueueNotFound) {
		t.Errorf("len: %v", err)
	}
	_ = other.Close()
}

// must returns a value, or fails the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
