package work

import (
	"context"

	"golang.org/x/sync/errgroup"
)

const (
	// PerStage is the number of goroutines of a stage, if it has a choice.
	PerStage = 4
	// Producers is the number of sending goroutines, if each call sends one item and waits for it.
	Producers = 4
)

// Crew starts a group for the goroutines of an open pipe. end cancels their context, waits for them
// and returns their first error before that.
func Crew(ctx context.Context) (group *errgroup.Group, bound context.Context, end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	group, bound = errgroup.WithContext(ctx)
	return group, bound, func() error {
		failed := bound.Err() != nil
		cancel()
		if err := group.Wait(); failed {
			return err
		}
		return nil
	}
}

// Give sends a result to a caller who may be gone.
func Give[T any](ctx context.Context, out chan<- T, x T) error {
	select {
	case out <- x: // avoids the second channel if there is room
		return nil
	default:
	}
	select {
	case out <- x:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
