package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/workers"
)

// Same is a stage that changes nothing.
func Same[T any](name string) workers.Func[T, T] {
	return workers.Define(name, func(_ context.Context, v T) (T, error) { return v, nil })
}

// Cost takes a time: it sleeps for 100 us or more, so that many slots fit on few processors, and
// keeps a processor busy for less.
func Cost(ctx context.Context, d time.Duration) error {
	if d >= 100*time.Microsecond {
		return work.Pause(ctx, d)
	}
	for begin := time.Now(); time.Since(begin) < d; {
	}
	return nil
}

// Waiting is a stage with a cost for each item.
func Waiting(name string, cost func(i int) time.Duration) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, i int) (int, error) { return i, Cost(ctx, cost(i)) })
}

// Number is item i of a flow of ints.
func Number(i int) int { return i }

// Numbers is a flow of n ints through stages, whose results are those of want.
func Numbers(n int, want func(i int) int, stages ...workers.Func[int, int]) Flow[int] {
	return Flow[int]{N: n, Item: Number, Stages: stages, Check: func(i, v int) error {
		if v != want(i) {
			return fmt.Errorf("result %d is %d and not %d", i, v, want(i))
		}
		return nil
	}}
}
