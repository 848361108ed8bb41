package flow

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/workers"
)

// Each makes a stage over q and waits for its end: workers call f for every item of q. Each blocks until
// the stream of q has ended and the calls for all its items have. So the program that sends the items
// does so in another goroutine, as bridge.ScatterSeq does. Nothing but failures and counts comes back to
// the caller: at most a few bytes for a batch.
//
// Each returns nil if no item has failed, and otherwise a *Failed. An item that has failed before it came
// to f counts as well. If the stream ended before its end, the error is the reason: the cause of ctx,
// executor.ErrTruncated if a scatter was aborted, executor.ErrQueueNotFound if a queue was deleted,
// executor.ErrClosed. It then wraps a *Failed beside the reason, if items have failed before. Errors
// before the stage is made are those of executor.Map.
//
// If ctx ends, the flow of a queue without a name is deleted half a second later, since no other call
// can wait for its end. The stage of a named queue stays, as for executor.Map, and so does its out-queue,
// which holds the failures that no Each has seen. A further Each with f waits for the rest and sees only
// these. It gets executor.ErrConsumerExists while another one waits.
//
// The options are those of executor.Map, and the rest is as for Filter. To see each failure, pass a
// RemoteFlatMap[T, struct{}] of the same name to FlatMap in place of Each, and read the queue.
func Each[T any](ctx context.Context, f workers.Sink[T], q *executor.Queue[T], opts ...executor.MapOption) error {
	n, first, err := executor.Each(ctx, handle.Key{}, f, q, opts)
	if n == 0 {
		return err
	}
	failed := &Failed{N: n, First: first}
	if err == nil {
		return failed
	}
	return fmt.Errorf("%w; before that, %w", err, failed)
}

// Failed is the error of Each if items have failed. errors.As and errors.Is find First in it.
type Failed struct {
	N     int   // number of items that have failed
	First error // of the first of them, in the order of a gather: an *executor.ItemError with its source and offset
}

// Error returns the number of failed items and the text of the first error.
func (f *Failed) Error() string {
	switch {
	case f == nil:
		return "<nil>"
	case f.N == 1:
		return fmt.Sprintf("each: 1 item has failed: %v", f.First)
	}
	return fmt.Sprintf("each: %d items have failed, the first one: %v", f.N, f.First)
}

// Unwrap returns First.
func (f *Failed) Unwrap() error {
	if f == nil {
		return nil
	}
	return f.First
}
