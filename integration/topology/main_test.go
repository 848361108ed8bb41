// Package topology tests the promises of the streams on every topology of Redis, and during
// failures of Redis.
package topology

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) {
	broker.Quiet()
	testkit.Main(m)
}

var (
	inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	twice  = workers.Define("twice", func(_ context.Context, s string) (string, error) { return s + s, nil })
)

// A diary is the log of one process.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(line)
}

func (d *diary) log() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

// says returns the number of lines with the text.
func (d *diary) says(text string) int { return strings.Count(d.all(), text) }

func (d *diary) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// connect returns an Executor that ends with the test, and its log.
func connect(t *testing.T, url string, opts ...executor.Option) (*executor.Executor, *diary) {
	t.Helper()
	var said diary
	ex, err := executor.New(t.Context(), url, append(opts, executor.Logger(said.log()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return ex, &said
}

// work runs a worker until the end of the test, and returns its log.
func work(t *testing.T, url string) *diary {
	t.Helper()
	var said diary
	w, err := workers.New(url, workers.Concurrency(2), workers.Functions(inc, double, twice), workers.Logger(said.log()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-w.Ready():
	case err := <-ended:
		ended <- err
		t.Fatal("the worker did not start")
	}
	return &said
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

// values gathers the next n items of a queue, or all of them if n is -1.
func values[T any](t *testing.T, q *executor.Queue[T], n int) (got []T) {
	t.Helper()
	for v, err := range bridge.All(t.Context(), q) {
		if err != nil {
			t.Fatalf("item %d: %v", len(got), err)
		}
		if got = append(got, v); len(got) == n {
			break
		}
	}
	return got
}

func scatter[T any](t *testing.T, ex *executor.Executor, items []T, opts ...bridge.ScatterOption) *executor.Queue[T] {
	t.Helper()
	return must(bridge.ScatterSeq(t.Context(), ex, slices.Values(items), opts...))(t)
}

func stage[In, Out any](t *testing.T, f workers.Func[In, Out], q *executor.Queue[In]) *executor.Queue[Out] {
	t.Helper()
	return must(executor.Map(t.Context(), f, q))(t)
}

// numbers returns f of 0 to n-1.
func numbers(n int, f func(int) int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = f(i)
	}
	return all
}

func same(i int) int      { return i }
func processed(i int) int { return 2 * (i + 1) }
