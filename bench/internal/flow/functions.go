package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// Same returns a stage that returns its input.
func Same[T any](name string) workers.Func[T, T] {
	return workers.Define(name, func(_ context.Context, v T) (T, error) { return v, nil })
}

// The cost of functions here is mostly sleep, so that many slots fit on few processors. Short costs
// keep a processor busy instead.

// Pause sleeps, or ends with its context.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spin keeps a processor busy for d.
func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// Cost takes the time d, asleep or busy.
func Cost(ctx context.Context, d time.Duration) error {
	if d < 100*time.Microsecond {
		spin(d)
		return nil
	}
	return Pause(ctx, d)
}

// Waiting returns a stage in which item i takes cost(i).
func Waiting(name string, cost func(i int) time.Duration) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, i int) (int, error) { return i, Cost(ctx, cost(i)) })
}

// Number returns the i-th item of a flow of ints.
func Number(i int) int { return i }

// SameNumber checks that item i has its value.
func SameNumber(i, v int) error {
	if i != v {
		return fmt.Errorf("result %d is %d", i, v)
	}
	return nil
}
