// Package differential compares the embedded broker with a redis-server, command by command, while
// real flows run on both.
package differential

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) {
	broker.Quiet()
	testkit.Main(m)
}

// lease is the lease of all processes; some of them die.
const lease = time.Second

// twins starts both brokers.
func twins(t *testing.T) *testkit.Differential {
	t.Helper()
	server := embedded.New()
	t.Cleanup(server.Close)
	return testkit.NewDifferential(t, server.Dial, server.StandAt)
}

// connect returns an Executor that ends with the test.
func connect(t *testing.T, url string) *executor.Executor {
	t.Helper()
	ex, err := executor.New(t.Context(), url, executor.Lease(lease))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return ex
}

// employ runs a worker until the test has ended, or stop is called.
func employ(t *testing.T, url string, functions ...workers.Function) (stop func()) {
	t.Helper()
	w, err := workers.New(url, workers.Concurrency(2), workers.Lease(lease), workers.Functions(functions...))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	select {
	case <-w.Ready():
	case err := <-ended:
		ended <- nil
		t.Fatalf("the worker did not start: %v", err)
	}
	return stop
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func scatter(t *testing.T, ex *executor.Executor, items []int, opts ...bridge.ScatterOption) *executor.Queue[int] {
	t.Helper()
	return must(bridge.ScatterSeq(t.Context(), ex, slices.Values(items), opts...))(t)
}

func stage(t *testing.T, f workers.Func[int, int], q *executor.Queue[int], opts ...executor.MapOption) *executor.Queue[int] {
	t.Helper()
	return must(executor.Map(t.Context(), f, q, opts...))(t)
}

// gather takes all items of a queue. It returns the values, and the errors that were in the place
// of others.
func gather(t *testing.T, q *executor.Queue[int], opts ...bridge.GatherOption) (values []int, failed []error) {
	t.Helper()
	for v, err := range bridge.All(t.Context(), q, opts...) {
		var item *executor.ItemError
		switch {
		case err == nil:
			values = append(values, v)
		case errors.As(err, &item):
			failed = append(failed, err)
		default:
			t.Fatalf("behind %v: %v", values, err)
		}
	}
	return values, failed
}

// yields fails the test if a queue does not hold exactly these values, in any order.
func yields(t *testing.T, q *executor.Queue[int], want ...int) {
	t.Helper()
	got, failed := gather(t, q)
	if slices.Sort(got); len(failed) > 0 || !slices.Equal(got, want) {
		t.Errorf("it yields %v, %v, and not %v", got, failed, want)
	}
}

// numbers returns f(0) to f(n-1).
func numbers(n int, f func(int) int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = f(i)
	}
	return all
}

func same(i int) int { return i }
func next(i int) int { return i + 1 }

var (
	inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
)
