package operate

import (
	"context"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	repeatAfter = 200 * time.Millisecond // between two looks at a worker, which gets its hint again: hints may be lost
	patience    = 10 * time.Second       // until a worker has done what an operator asks for
)

// Cancel cancels an item that a worker runs: the context of its call ends, and the item is a failure
// with the code "canceled" in its place, without another attempt, unless the function returns a value
// nevertheless. The other items of its batch go back to their queue. The process of a command is
// killed. Cancel needs a call that has run for a second, and returns it once it has ended: that takes
// about a heartbeat, 2 s at the default lease.
//
// Errors: ErrNotRunning, and ErrStillRunning if the function has not returned after ten seconds. Its
// slot then stays taken until it does.
func (o *Operator) Cancel(ctx context.Context, source string, offset int64, act Act) (call inspect.Call, err error) {
	return o.cancel(ctx, "cancel", source, offset, act, broker.HintStop, patience)
}

// Abandon is Cancel, and does not wait for a function that ignores its context: ten seconds after the
// end of the context the slot goes on without it. The item is a failure with the code "canceled" in its
// place, and the other items of its batch, also those that were done, go back to their queue. The
// goroutine of the function is left behind, inspect.Worker.Stuck counts it until the function
// returns, and its results are dropped. If the call may be at one of several items, see
// inspect.Call.Items, the failure is the item at offset.
//
// Errors: those of Cancel. ErrStillRunning then means that the worker does not answer.
func (o *Operator) Abandon(ctx context.Context, source string, offset int64, act Act) (call inspect.Call, err error) {
	return o.cancel(ctx, "abandon", source, offset, act, broker.HintAbandon, 2*patience)
}

// cancel sends a hint about an item until the worker no longer runs it, at most for a time.
func (o *Operator) cancel(
	ctx context.Context, verb, source string, offset int64, act Act, hint string, limit time.Duration,
) (call inspect.Call, err error) {
	ctx, end, err := o.begin(ctx, verb)
	if err != nil {
		return inspect.Call{}, err
	}
	defer end(&err)
	part, worker, item, err := o.running(ctx, source, offset)
	if err != nil {
		return inspect.Call{}, fmt.Errorf("%s: %w", verb, err)
	}
	call = inspect.Call{
		Stage: item.Stage, Function: item.Function, Queue: item.Queue, Source: item.Source, Offset: item.Offset,
		Items: item.Items, Attempt: item.Attempt, Since: item.Since,
	}
	name := fmt.Sprintf("%s %d", source, offset)
	if err := act.note(ctx, part, verb, "item "+name, 1); err != nil {
		return call, err
	}
	told, err := until(ctx, part, worker, broker.Hint{Kind: hint, What: name}, limit, func(w broker.Process) bool {
		_, running := itemOf(w, source, offset)
		return !running
	})
	if err == nil && !told {
		err = fmt.Errorf("%s item %s: %w: worker %s waits for it", verb, name, ErrStillRunning, worker)
	}
	return call, err
}

// running returns the worker that runs an item.
func (o *Operator) running(ctx context.Context, source string, offset int64) (*broker.Client, string, broker.RunningItem, error) {
	for _, part := range o.partitions() {
		survey, err := part.Survey(ctx)
		if err != nil {
			return nil, "", broker.RunningItem{}, err
		}
		for _, w := range survey.Workers {
			if item, ok := itemOf(w.Process, source, offset); ok {
				return part, w.ID, item, nil
			}
		}
	}
	return nil, "", broker.RunningItem{}, fmt.Errorf("source %q, offset %d: %w, or it has run for less than a second", source, offset, ErrNotRunning)
}

// itemOf returns the call of a worker that runs an item.
func itemOf(w broker.Process, source string, offset int64) (broker.RunningItem, bool) {
	for _, item := range w.Running() {
		if item.Source == source && item.Offset <= offset && offset < item.Offset+int64(item.Items) {
			return item, true
		}
	}
	return broker.RunningItem{}, false
}

// until sends a hint to a worker until the worker's card shows its effect. A worker that is gone has
// obeyed. It returns false if that takes longer than limit.
func until(
	ctx context.Context, part *broker.Client, worker string, hint broker.Hint, limit time.Duration, done func(broker.Process) bool,
) (bool, error) {
	over := time.NewTimer(limit)
	defer over.Stop()
	tick := time.NewTicker(repeatAfter)
	defer tick.Stop()
	for {
		if err := part.SendHint(ctx, worker, hint); err != nil {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-over.C:
			return false, nil
		case <-tick.C:
		}
		w, live, err := part.Worker(ctx, worker)
		if err != nil || !live || done(w) {
			return err == nil, err
		}
	}
}
