package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) {
	url, run := os.Getenv(producerURL), produce
	if url == "" {
		url, run = os.Getenv(consumerURL), consume
	}
	if url == "" {
		testkit.Main(m)
	}
	if err := run(url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

var (
	inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	same   = workers.Define("same", func(_ context.Context, text string) (string, error) { return text, nil })
	odd    = workers.Define("odd", func(_ context.Context, x int) (int, error) {
		if x%2 == 0 {
			return 0, errors.New("it is even")
		}
		return x, nil
	})
)

// onBoth runs a test on the embedded broker and on a real server, with an Executor that runs
// functions itself. It checks that no key is left afterwards; TestMain checks that no goroutine is.
func onBoth(t *testing.T, test func(t *testing.T, ex *executor.Executor), functions ...workers.Function) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		test(t, connect(t, "", functions...))
	})
	t.Run("redis", func(t *testing.T) {
		test(t, connect(t, namespace(t), functions...))
	})
}

// namespace is the address of a namespace of its own on a real server, in which
// no key may be left when the test has ended.
func namespace(t *testing.T) string {
	t.Helper()
	server, ns := testkit.SharedRedis(t).URL(), testkit.Namespace(t)
	t.Cleanup(func() {
		if left := testkit.Keys(t, server, "{"+ns+":*"); len(left) > 0 {
			t.Errorf("keys are left: %q", left)
		}
	})
	return server + "/?ns=" + ns
}

// work runs a worker until the test has ended.
func work(t *testing.T, url string, functions ...workers.Function) {
	t.Helper()
	w := must(workers.New(url, workers.Concurrency(2), workers.Functions(functions...)))(t)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-w.Ready()
}

func connect(t *testing.T, url string, functions ...workers.Function) *executor.Executor {
	t.Helper()
	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	register(t, ex, functions...)
	return ex
}

func register(t *testing.T, ex *executor.Executor, functions ...workers.Function) {
	t.Helper()
	if len(functions) == 0 {
		return
	}
	if err := ex.Register(functions...); err != nil {
		t.Fatal(err)
	}
}

func scatter[T any](t *testing.T, ex *executor.Executor, items []T, opts ...bridge.ScatterOption) *executor.Queue[T] {
	t.Helper()
	return must(bridge.ScatterSeq(t.Context(), ex, slices.Values(items), opts...))(t)
}

func stage[In, Out any](t *testing.T, f workers.Func[In, Out], q *executor.Queue[In], opts ...executor.MapOption) *executor.Queue[Out] {
	t.Helper()
	return must(executor.Map(t.Context(), f, q, opts...))(t)
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

// values gathers a queue to its end. Each item must have a value.
func values[T any](t *testing.T, q *executor.Queue[T], opts ...bridge.GatherOption) []T {
	t.Helper()
	got := []T{}
	for v, err := range bridge.All(t.Context(), q, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

func want[T comparable](t *testing.T, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// counted is the identity, and how often it was called.
func counted(name string) (workers.Func[int, int], *atomic.Int64) {
	var calls atomic.Int64
	return workers.Define(name, func(_ context.Context, x int) (int, error) {
		calls.Add(1)
		return x, nil
	}), &calls
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	testkit.Eventually(t, cond, "a condition of the test")
}
