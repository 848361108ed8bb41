package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var (
	inc = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	div = workers.Define("div", func(_ context.Context, x int) (int, error) {
		if x == 0 {
			return 0, errors.New("division by zero")
		}
		return 12 / x, nil
	})
	wait = workers.Define("wait", func(ctx context.Context, x int) (int, error) {
		<-ctx.Done()
		return x, ctx.Err()
	})
)

// onBoth runs a test on the embedded broker and on a real server; afterwards no
// key is left.
func onBoth(t *testing.T, test func(t *testing.T, ex *executor.Executor), functions ...workers.Function) {
	t.Helper()
	server := testkit.SharedRedis(t).URL()
	for name, url := range map[string]string{"embedded": "", "redis": server} {
		t.Run(name, func(t *testing.T) {
			ns := testkit.Namespace(t)
			if url != "" {
				url += "/?ns=" + ns
			}
			ex, err := executor.New(t.Context(), url)
			if err == nil {
				err = ex.Register(functions...)
			}
			if err != nil {
				t.Fatal(err)
			}
			test(t, ex)
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
			if left := testkit.Keys(t, server, "{"+ns+":*"); len(left) > 0 {
				t.Errorf("keys are left: %q", left)
			}
		})
	}
}

func mapSlice(t *testing.T, ex *executor.Executor, f workers.Func[int, int], values ...int) []*executor.Future[int] {
	t.Helper()
	futures, err := executor.MapSlice(t.Context(), ex, f, values)
	if err != nil {
		t.Fatal(err)
	}
	return futures
}

func TestR01Map(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		var numbers, next []int
		for i := range 3000 {
			numbers, next = append(numbers, i), append(next, i+1)
		}
		futures := mapSlice(t, ex, inc, numbers...)
		got, err := executor.GatherSlice(t.Context(), futures)
		if err != nil || !slices.Equal(got, next) {
			t.Errorf("%d values, %v", len(got), err)
		}
	}, inc)
}

func TestR02MapEmpty(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		if futures := mapSlice(t, ex, inc); len(futures) != 0 {
			t.Errorf("%d futures", len(futures))
		}
		if got, err := executor.GatherSlice[int](t.Context(), nil); len(got) != 0 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}, inc)
}

func TestR03Retries(t *testing.T) {
	for retries, want := range map[int]string{0: "one", 1: "two", 2: ""} {
		var calls atomic.Int64
		varying := workers.Define("varying", func(_ context.Context, x int) (int, error) {
			if n := calls.Add(1); n <= 2 {
				return 0, errors.New([]string{"one", "two"}[n-1])
			}
			return x, nil
		})
		onBoth(t, func(t *testing.T, ex *executor.Executor) {
			calls.Store(0)
			f, err := executor.Submit(t.Context(), ex, varying, 7, executor.Retries(retries))
			if err != nil {
				t.Fatal(err)
			}
			v, err := f.Result(t.Context())
			var failed *executor.ItemError
			if errors.As(err, &failed) != (want != "") || failed != nil && (failed.Message != want || failed.Attempts != retries+1) || want == "" && v != 7 {
				t.Errorf("%d retries: %d, %v", retries, v, err)
			}
		}, varying)
	}
}

func TestR05GatherTellsTheFirstError(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		got, err := executor.GatherSlice(t.Context(), mapSlice(t, ex, div, 1, 0, 3))
		if !slices.Equal(got, []int{12, 0, 4}) || err == nil || !strings.Contains(err.Error(), "item 1: div: division by zero") {
			t.Errorf("%v, %v", got, err)
		}
	}, div)
}

func TestR08Cancel(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		f := mapSlice(t, ex, wait, 1)[0]
		if f.Done() {
			t.Error("done before it ran")
		}
		if err := f.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrCanceled) || !f.Done() {
			t.Errorf("got %v", err)
		}
		ready := mapSlice(t, ex, inc, 1)[0]
		if v, err := ready.Result(t.Context()); v != 2 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		if err := ready.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v, err := ready.Result(t.Context()); v != 2 || err != nil {
			t.Errorf("a result was canceled: %d, %v", v, err)
		}
	}, wait, inc)
}

// The context of a function that runs ends when its future is canceled, and
// only that: the items beside it go on.
func TestCancelReachesAFunctionThatRuns(t *testing.T) {
	const slots = 4 // of an Executor that is not told how many: all of them are busy
	begun, ended := make(chan int, slots), make(chan int, slots)
	release := make(chan struct{})
	patient := workers.Define("patient", func(ctx context.Context, x int) (int, error) {
		begun <- x
		select {
		case <-ctx.Done():
			ended <- x
			return 0, ctx.Err()
		case <-release:
			return x, nil
		}
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		release = make(chan struct{})
		items := make([]int, slots)
		for i := range items {
			items[i] = i + 1
		}
		futures := mapSlice(t, ex, patient, items...)
		for range slots {
			<-begun
		}
		if err := futures[0].Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
		if x := <-ended; x != 1 {
			t.Errorf("%d was ended", x)
		}
		close(release)
		for i, f := range futures[1:] {
			if v, err := f.Result(t.Context()); v != i+2 || err != nil {
				t.Errorf("the one at its side: %d, %v", v, err)
			}
		}
		if _, err := futures[0].Result(t.Context()); !errors.Is(err, executor.ErrCanceled) {
			t.Errorf("got %v", err)
		}
	}, patient)
}

func TestResultEndsWithItsContextAndWithTheExecutor(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		f := mapSlice(t, ex, wait, 1)[0]
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := f.Result(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if _, err := executor.Submit(t.Context(), ex, inc, 1); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("submit after Close: %v", err)
		}
	}, wait, inc)
}

func TestT14AsCompletedOfAList(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		if got := completed(t, mapSlice(t, ex, inc, 0, 1, 2, 3, 4)); !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
			t.Errorf("got %v", got)
		}
	}, inc)
}

func TestT15AsCompletedOfEqualValues(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		var futures []*executor.Future[int]
		for _, v := range []int{1, 1, 2} {
			f, err := executor.Submit(t.Context(), ex, inc, v)
			if err != nil {
				t.Fatal(err)
			}
			futures = append(futures, f)
		}
		if got := completed(t, futures); !slices.Equal(got, []int{2, 2, 3}) {
			t.Errorf("got %v", got)
		}
	}, inc)
}

// completed is the values of futures, sorted.
func completed(t *testing.T, futures []*executor.Future[int]) []int {
	t.Helper()
	var values []int
	for f := range executor.AsCompleted(t.Context(), futures) {
		v, err := f.Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

// R10: every future once, also equal and failed ones.
func TestR10AsCompleted(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		futures := append(mapSlice(t, ex, inc, 1, 1, 2), mapSlice(t, ex, div, 0)...)
		futures = append(futures, futures[0])
		seen := map[*executor.Future[int]]int{}
		for f := range executor.AsCompleted(t.Context(), futures) {
			if !f.Done() {
				t.Error("not done")
			}
			seen[f]++
		}
		if len(seen) != 4 || seen[futures[0]] != 2 {
			t.Errorf("seen %v", seen)
		}
		for range executor.AsCompleted(t.Context(), mapSlice(t, ex, inc, 1, 2, 3)) {
			break
		}
	}, inc, div)
}

func TestFuturesOfAQueue(t *testing.T) {
	long := workers.Define("long", func(_ context.Context, x int) (string, error) {
		if x == 1 {
			return "", errors.New("one")
		}
		return strings.Repeat("x", x), nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		sizes := []int{0, 1, 2, 5000, 100_000}
		in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(sizes))
		if err != nil {
			t.Fatal(err)
		}
		q, err := executor.Map(t.Context(), long, in)
		if err != nil {
			t.Fatal(err)
		}
		var futures []*executor.Future[string]
		for f, err := range executor.Futures(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			futures = append(futures, f)
		}
		if len(futures) != len(sizes) {
			t.Fatalf("%d futures", len(futures))
		}
		for i, f := range futures {
			v, err := f.Result(t.Context())
			var failed *executor.ItemError
			if errors.As(err, &failed) != (i == 1) || i != 1 && len(v) != sizes[i] {
				t.Errorf("element %d has %d bytes, %v", i, len(v), err)
			}
		}
	}, long)
}
