package workers

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// An Item says which item a function works on.
type Item struct {
	// Queue is the one that the item was taken from. Of stages that a worker runs one after the other without
	// the queues between, it is that of the stage.
	Queue string
	// Source and Offset are the same in every stage of a flow and in every attempt: together with the name of
	// the function they are an idempotency key. The first item of a source has the Offset 0.
	Source string
	Offset int64
	// Attempt is 1 for the first attempt of the stage. Calls that a crash of a worker repeats do not count.
	Attempt int
}

// ItemFrom returns the item that the context of a function belongs to, for a batch function the first of
// those that it got. It may be called while the function runs; ok is false if the context is not that of a
// function which a worker calls.
func ItemFrom(ctx context.Context) (item Item, ok bool) {
	i, ok := runner.ItemFrom(ctx)
	return Item(i), ok
}
