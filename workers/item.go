package workers

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// An Item identifies the item of a call.
type Item struct {
	// Queue is the queue that the item was taken from. For the later one of two fused stages it is
	// the queue between them.
	Queue string
	// Source and Offset are the same in every stage of a flow and in every attempt. With the name
	// of the function they are an idempotency key. The first item of a source has Offset 0.
	Source string
	Offset int64
	// Attempt is 1 for the first attempt of the stage. Calls that are repeated after the death of a
	// worker do not count.
	Attempt int
}

// ItemFrom returns the item that the context of a function belongs to; for a batch function, the
// first item of the call. Call it while the function runs. ok is false for a context that is not
// that of a call by a worker.
func ItemFrom(ctx context.Context) (item Item, ok bool) {
	i, ok := runner.ItemFrom(ctx)
	return Item(i), ok
}
