package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// Same is a stage that changes nothing.
func Same[T any](name string) workers.Func[T, T] {
	return workers.Define(name, func(_ context.Context, v T) (T, error) { return v, nil })
}

// What functions cost here is time that they sleep, so that many slots fit on
// few processors; below that a processor is kept busy.

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

// spin keeps a processor busy.
func spin(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// Cost takes a time, asleep or busy.
func Cost(ctx context.Context, d time.Duration) error {
	if d < 100*time.Microsecond {
		spin(d)
		return nil
	}
	return Pause(ctx, d)
}

// Waiting is a stage whose items cost what cost says.
func Waiting(name string, cost func(i int) time.Duration) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, i int) (int, error) { return i, Cost(ctx, cost(i)) })
}

// Number is the i-th item of ints that no stage changes.
func Number(i int) int { return i }

// SameNumber checks it.
func SameNumber(i, v int) error {
	if i != v {
		return fmt.Errorf("result %d is %d", i, v)
	}
	return nil
}
