package executor_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A slowly is a function that counts its calls and those whose context has ended. Each call but the
// one for 0 runs until its context ends.
type slowly struct{ begun, canceled atomic.Int64 }

func (s *slowly) function() workers.Func[int, int] {
	return workers.Define("slowly", func(ctx context.Context, x int) (int, error) {
		s.begun.Add(1)
		if x == 0 { // one result lets a gather begin
			return x, nil
		}
		<-ctx.Done()
		s.canceled.Add(1)
		return 0, context.Cause(ctx)
	})
}

func numbers(n int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}

// gone waits until there is no queue and no stage any more.
func gone(t *testing.T, ex *executor.Executor) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		queues, err := ex.Queues(t.Context())
		stages, failed := ex.Stages(t.Context())
		if err := errors.Join(err, failed); err != nil {
			t.Fatal(err)
		}
		return len(queues)+len(stages) == 0
	}, "no queue and no stage is left")
}

// A flow goes when no call can gather it any more: its queues and stages are deleted, and the
// functions that run for it are canceled.
func TestAbandonedFlowsGo(t *testing.T) {
	ways := map[string]func(t *testing.T, ctx context.Context, cancel func(), q *executor.Queue[int]){
		"canceled gather": func(t *testing.T, ctx context.Context, cancel func(), q *executor.Queue[int]) {
			results, err := bridge.Gather(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			<-results
			cancel()
		},
		"All left": func(t *testing.T, _ context.Context, _ func(), q *executor.Queue[int]) {
			for range bridge.All(t.Context(), q) {
				break
			}
		},
		"Futures left": func(t *testing.T, _ context.Context, _ func(), q *executor.Queue[int]) {
			for range executor.Futures(t.Context(), q) {
				break
			}
		},
		"no gather": func(t *testing.T, ctx context.Context, cancel func(), q *executor.Queue[int]) {
			cancel()
			if _, err := bridge.Gather(ctx, q); !errors.Is(err, context.Canceled) {
				t.Errorf("Gather: %v", err)
			}
		},
		"Delete": func(t *testing.T, _ context.Context, _ func(), q *executor.Queue[int]) {
			if err := q.Delete(t.Context()); err != nil {
				t.Errorf("Delete: %v", err)
			}
		},
	}
	for way, end := range ways {
		t.Run(way, func(t *testing.T) {
			var s slowly
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				t.Helper()
				s.begun.Store(0)
				s.canceled.Store(0)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				in, err := bridge.ScatterSeq(ctx, ex, numbers(1000))
				if err != nil {
					t.Fatal(err)
				}
				q, err := executor.Map(ctx, s.function(), in)
				if err != nil {
					t.Fatal(err)
				}
				testkit.Eventually(t, func() bool { return s.begun.Load() > 1 }, "functions run")
				end(t, ctx, cancel, q)
				gone(t, ex)
				testkit.Eventually(t, func() bool { return s.canceled.Load() == s.begun.Load()-1 }, "all calls are canceled")
				if n := s.begun.Load(); n > 100 {
					t.Errorf("%d calls were made", n)
				}
			}, s.function())
		})
	}
}

// A flow stays if the context of its scatter or its stage lives, or if a gather reads it.
func TestFlowsThatCanBeGatheredStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, err := executor.New(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		}()
		ended, end := context.WithCancel(t.Context())
		first, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2}))
		if err != nil {
			t.Fatal(err)
		}
		second, err := bridge.ScatterSeq(ended, ex, slices.Values([]int{1, 2}))
		if err != nil {
			t.Fatal(err)
		}
		<-second.Done()
		results, err := bridge.Gather(t.Context(), second, bridge.ManualAck())
		if err != nil {
			t.Fatal(err)
		}
		canceled, err := bridge.Gather(ended, first, bridge.ManualAck())
		if err != nil {
			t.Fatal(err)
		}
		end()
		for r := range canceled {
			if !errors.Is(r.Err, context.Canceled) {
				t.Errorf("a canceled gather has %v", r)
			}
		}
		<-time.After(15 * time.Minute) // in virtual time
		for i := range 2 {
			if r := <-results; r.Value != i+1 || r.Err != nil {
				t.Errorf("result %d: %v", i, r)
			} else {
				r.Ack()
			}
		}
		if r, ok := <-results; ok {
			t.Errorf("a third result: %v", r)
		}
		n := 0
		for v, err := range bridge.All(t.Context(), first) {
			if n++; v != n || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		}
		if n != 2 {
			t.Errorf("%d results", n)
		}
	})
}

// A flow that no gather has begun to read is kept for ten minutes after its contexts have ended.
func TestUngatheredFlowsAreDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, err := executor.New(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2})); err != nil {
			t.Fatal(err)
		}
		for _, left := range []int{1, 1, 0} {
			<-time.After(9 * time.Minute)
			cancel()
			if queues, err := ex.Queues(t.Context()); err != nil || len(queues) != left {
				t.Errorf("%d queues, %v; want %d", len(queues), err, left)
			}
		}
	})
}

// A producer learns that the flow of its scatter was given up.
func TestAScatterEndsWithItsFlow(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		t.Helper()
		in := make(chan int, 1)
		in <- 1
		q, err := bridge.Scatter(t.Context(), ex, in)
		if err != nil {
			t.Fatal(err)
		}
		for range bridge.All(t.Context(), q) {
			break
		}
		select {
		case <-q.Done():
		case <-time.After(time.Minute):
			t.Fatal("the scatter goes on")
		}
		if err := q.Err(); !errors.Is(err, executor.ErrQueueNotFound) {
			t.Errorf("Err: %v", err)
		}
		gone(t, ex)
	})
}

// The Executor forgets the queues of a flow when it deletes them.
func TestFlowsAreForgotten(t *testing.T) {
	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		t.Helper()
		flow := func(ctx context.Context) (in, out *executor.Queue[int]) {
			in, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}))
			if err != nil {
				t.Fatal(err)
			}
			out, err = executor.Map(ctx, double, in)
			if err != nil {
				t.Fatal(err)
			}
			return in, out
		}
		_, out := flow(t.Context())
		for _, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Error(err)
			}
		}
		in, out := flow(t.Context())
		if err := errors.Join(ex.Delete(t.Context(), out.Name()), in.Delete(t.Context())); err != nil {
			t.Error(err)
		}
		in, out = flow(t.Context())
		if err := errors.Join(in.Delete(t.Context())); err != nil {
			t.Error(err)
		}
		if err := out.Delete(t.Context()); !errors.Is(err, executor.ErrQueueNotFound) {
			t.Errorf("Delete of a queue that went with the one before: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, out = flow(ctx)
		cancel()
		for range bridge.All(t.Context(), out) {
			break
		}
		testkit.Eventually(t, func() bool { return executor.Remembered(ex) == 0 }, "no flow is remembered")
		gone(t, ex)
	}, double)
}
