package executor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// unfinished returns futures of the values 2 and 3, then one that failed and one that has no result
// until it is canceled.
func unfinished(t *testing.T, ex *executor.Executor) []*executor.Future[int] {
	t.Helper()
	futures := append(mapSlice(t, ex, inc, 1, 2), mapSlice(t, ex, div, 0)...)
	for _, f := range futures {
		var item *executor.ItemError
		if _, err := f.Result(t.Context()); err != nil && !errors.As(err, &item) {
			t.Fatal(err)
		}
	}
	return append(futures, mapSlice(t, ex, wait, 1)...)
}

func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestGatherSliceOfWhatIsDone(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		got, err := executor.GatherSlice(ended(t), unfinished(t, ex)[:2])
		if err != nil || !slices.Equal(got, []int{2, 3}) {
			t.Errorf("%v, %v", got, err)
		}
	}, inc, div, wait)
}

func TestGatherSliceTellsThatItWasCut(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		futures := unfinished(t, ex)
		for _, part := range [][]*executor.Future[int]{futures, futures[3:]} {
			got, err := executor.GatherSlice(ended(t), part)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, %v", got, err)
			}
		}
		got, err := executor.GatherSlice(ended(t), futures)
		if !slices.Equal(got, []int{2, 3, 0, 0}) {
			t.Errorf("%v, %v", got, err)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		if got, err := executor.GatherSlice(t.Context(), futures); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("after Close: %v, %v", got, err)
		}
	}, inc, div, wait)
}

// outcomes counts how often AsCompleted yields each future, and the errors of the futures that were
// cut.
func outcomes(ctx context.Context, futures []*executor.Future[int], cut error) (seen map[*executor.Future[int]]int, cuts int) {
	seen = map[*executor.Future[int]]int{}
	for f := range executor.AsCompleted(ctx, futures) {
		seen[f]++
		if _, err := f.Result(ctx); errors.Is(err, cut) {
			cuts++
		}
	}
	return seen, cuts
}

func TestAsCompletedYieldsEachFutureAlsoIfItIsCut(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		futures := unfinished(t, ex)
		seen, cuts := outcomes(ended(t), futures, context.Canceled)
		if len(seen) != 4 || cuts != 1 {
			t.Errorf("%d futures, %d of them cut", len(seen), cuts)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for f := range executor.AsCompleted(ctx, futures) {
			if n++; n == 3 { // all but the last have a result
				cancel()
			} else if n == 4 && f != futures[3] {
				t.Error("the last one has a result")
			}
		}
		if n != 4 {
			t.Errorf("%d futures", n)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		seen, cuts = outcomes(t.Context(), futures, executor.ErrClosed)
		if len(seen) != 4 || cuts != 1 {
			t.Errorf("after Close: %d futures, %d of them cut", len(seen), cuts)
		}
	}, inc, div, wait)
}

// endings are ways to leave a loop.
var endings = map[string]func(){
	"panic":  func() { panic("as in a handler of net/http") },
	"Goexit": runtime.Goexit,
}

// leave runs f, which panics or calls runtime.Goexit, in a goroutine and waits for its end.
func leave(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f()
	}()
	<-done
}

// wantClose closes an Executor, which must not hang.
func wantClose(t *testing.T, ex *executor.Executor) {
	t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- ex.Close() }()
	var err error
	testkit.Eventually(t, func() bool {
		select {
		case err = <-closed:
			return true
		default:
			return false
		}
	}, "Close returns")
	if err != nil {
		t.Error(err)
	}
}

func TestALoopThatPanicsReleasesItsQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for name, end := range endings {
			for loop, run := range map[string]func(*executor.Queue[int]){
				"Futures": func(q *executor.Queue[int]) {
					for range executor.Futures(t.Context(), q) {
						end()
					}
				},
				"All": func(q *executor.Queue[int]) {
					for range bridge.All(t.Context(), q) {
						end()
					}
				},
			} {
				q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 3}))
				if err != nil {
					t.Fatal(err)
				}
				leave(func() { run(q) })
				results, err := bridge.Gather(t.Context(), q)
				if err != nil {
					t.Errorf("the queue has its consumer after %s in a loop over %s: %v", name, loop, err)
					continue
				}
				if r := <-results; r.Err != nil || r.Value > 2 {
					t.Errorf("after %s in a loop over %s: %v", name, loop, r)
				}
			}
		}
		for _, end := range endings {
			leave(func() {
				for range executor.AsCompleted(t.Context(), mapSlice(t, ex, inc, 1, 2)) {
					end()
				}
			})
		}
		wantClose(t, ex)
	}, inc)
}
