package workers

import "context"

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
	if ctx == nil {
		return Item{}, false
	}
	switch x := ctx.Value(itemKey{}).(type) {
	case *runningCall:
		return x.item()
	case *caller:
		return x.itemAt(), true
	case Item: // of a single call with a timeout
		return x, true
	}
	return Item{}, false
}

type itemKey struct{}

// item is the one that the function runs on.
func (x *runningCall) item() (item Item, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.route == nil {
		return Item{}, false
	}
	index := 0
	if x.runner != nil {
		index = x.runner.position()
	}
	return Item{Queue: x.route.In, Source: x.source, Offset: x.first + int64(index), Attempt: x.attempt}, true
}
