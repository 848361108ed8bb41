package operate

import (
	"context"
	"errors"

	"github.com/dqbridge/dqbridge/inspect"
)

var errNotYet = errors.New("this version cannot do that yet")

// Cancel cancels an item that a worker runs: the context of its call ends, and the item is a failure
// with the code "canceled" in its place, without another attempt. The other items of its batch go
// back to their queue. The process of a command is killed. Cancel returns the call, once the worker
// has ended it. It needs a call that has run for a second, or one of a batch function with the item.
//
// Errors: ErrNotRunning, and ErrStillRunning if the function has not returned ten seconds after the
// end of its context. The worker then goes on to wait for it; Abandon gives up the goroutine.
func (o *Operator) Cancel(ctx context.Context, source string, offset int64, act Act) (call inspect.Call, err error) {
	return inspect.Call{}, errNotYet
}

// Abandon is Cancel for a Go function that does not return when its context ends: after ten seconds,
// another goroutine takes its slot, and the worker drops the results of the function. The goroutine
// is lost until the function returns; inspect.Worker.Stuck counts it. Errors: ErrNotRunning.
func (o *Operator) Abandon(ctx context.Context, source string, offset int64, act Act) (call inspect.Call, err error) {
	return inspect.Call{}, errNotYet
}
