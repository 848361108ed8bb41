package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// ticks yields a number each 10 ms, without an end.
func ticks(yield func(int) bool) {
	for i := 0; yield(i); i++ {
		<-time.After(10 * time.Millisecond)
	}
}

// paired makes pairs of two endless queues, the first of which it returns too.
func paired(t *testing.T, f *dqtest.Fleet) (a, sums *executor.Queue[int]) {
	t.Helper()
	add := workers.Define2("add", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
	f.StartWorker(workers.Functions(add))
	ex, _ := f.StartExecutor()
	a, err := bridge.ScatterSeq(t.Context(), ex, ticks)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bridge.ScatterSeq(t.Context(), ex, ticks)
	if err != nil {
		t.Fatal(err)
	}
	if sums, err = executor.Map2(t.Context(), add, a, b); err != nil {
		t.Fatal(err)
	}
	return a, sums
}

// A loop over the results of Map2 that is left deletes the queues that it reads, though their contexts
// live.
func TestQueuesOfMap2GoWithItsGather(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		_, sums := paired(t, f)
		for range bridge.All(t.Context(), sums) {
			break
		}
		<-time.After(time.Minute)
		if queues := f.Queues(); len(queues) > 0 {
			t.Errorf("queues are left: %+v", queues)
		}
	})
}

// The results of Map2 end if one of its queues is deleted.
func TestMap2EndsWithADeletedQueue(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		a, sums := paired(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var n int
		var last error
		for _, err := range bridge.All(ctx, sums) {
			if n, last = n+1, err; n == 10 {
				if err := a.Delete(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !errors.Is(last, executor.ErrTruncated) {
			t.Errorf("%d results, then %v", n, last)
		}
	})
}
