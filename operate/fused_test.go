package operate_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

// The pause of the second of two fused stages lets the first one go on: its results wait in the queue
// between them, and are in order after the pause.
func TestPauseOfSecondFusedStage(t *testing.T) {
	t.Parallel()
	first := workers.Define("first", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	var calls atomic.Int64
	second := workers.Define("second", func(_ context.Context, x int) (int, error) {
		calls.Add(1)
		return 2 * x, nil
	})
	s := newSite(t, first, second)
	in := make(chan int)
	q, err := bridge.Scatter(t.Context(), s.ex, in, bridge.Name("numbers"), bridge.Seal(), bridge.MaxBatch(1))
	if err != nil {
		t.Fatal(err)
	}
	mid, errMid := executor.Map(t.Context(), first, q, executor.Name("between"))
	out, errOut := executor.Map(t.Context(), second, mid, executor.Name("results"))
	if err := errors.Join(errMid, errOut); err != nil {
		t.Fatal(err)
	}
	send := func(from, to int) {
		for x := from; x < to; x++ {
			in <- x
		}
	}
	send(0, 10)
	testkit.Eventually(t, func() bool { return calls.Load() == 10 }, "both stages run")
	if _, err := s.o.Pause(t.Context(), "results", operate.Act{}); err != nil {
		t.Fatal(err)
	}
	state := func(flow string) func() bool {
		return func() bool {
			now, err := s.o.Inspector().Snapshot(t.Context())
			return err == nil && len(now.Flows()) == 1 && now.Flows()[0].State == flow
		}
	}
	next := sendUntilOneWaits(t, in, 10, mid, &calls)
	testkit.Eventually(t, state("paused"), "the flow is paused")
	before := calls.Load()
	send(next, 20)
	close(in)
	testkit.Eventually(t, func() bool { n, err := mid.Len(t.Context()); return err == nil && int64(n) == 20-before }, "the items wait between the stages")
	if n := calls.Load(); n != before {
		t.Errorf("the paused stage ran on %d items", n-before)
	}
	if _, err := s.o.Resume(t.Context(), "results", operate.Act{}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for v, err := range bridge.All(t.Context(), out) {
		if err != nil || v != 2*(at+1) {
			t.Errorf("result %d is %d, %v", at, v, err)
		}
		at++
	}
	if at != 20 {
		t.Errorf("%d results", at)
	}
}

// sendUntilOneWaits sends items, from a number on, until one waits in a queue: the worker hears of a pause a
// little later. It returns the number of the next item.
func sendUntilOneWaits(t *testing.T, in chan<- int, next int, q *executor.Queue[int], calls *atomic.Int64) int {
	t.Helper()
	for last := next + 10; next < last; {
		in <- next
		next++
		waits := false
		testkit.Eventually(t, func() bool {
			n, err := q.Len(t.Context())
			waits = err == nil && n == 1
			return waits || calls.Load() == int64(next)
		}, "the item has passed the first stage")
		if waits {
			return next
		}
	}
	t.Fatal("no item waits for the paused stage")
	return next
}

// A canceled item of a batch function is the only failure. The others run again, and that is no
// further attempt.
func TestCancelInsideBatchFunction(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int64
	whole := workers.DefineBatch("whole", func(ctx context.Context, xs []int) ([]int, error) {
		item, _ := workers.ItemFrom(ctx)
		attempts.Store(max(attempts.Load(), int64(item.Attempt)))
		for _, x := range xs {
			if x == 2 {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
		}
		return xs, nil
	})
	s := newSite(t, whole)
	in := make(chan []int, 1)
	in <- []int{0, 1, 2, 3, 4, 5}
	close(in)
	q, err := bridge.ScatterSlices(t.Context(), s.ex, in, bridge.Name("numbers"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), whole, q, executor.Name("results"), executor.Retries(3), executor.Backoff(time.Hour, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	call := s.running(t)
	if _, err := s.o.Cancel(t.Context(), call.Source, 2, operate.Act{}); err != nil {
		t.Fatal(err)
	}
	at := 0
	for v, err := range bridge.All(t.Context(), out) {
		if at == 2 && !errors.Is(err, executor.ErrCanceled) || at != 2 && (err != nil || v != at) {
			t.Errorf("result %d is %d, %v", at, v, err)
		}
		at++
	}
	if at != 6 || attempts.Load() != 1 {
		t.Errorf("%d results after %d attempts", at, attempts.Load())
	}
}
