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
	ctx, end, err := o.begin(ctx, "cancel")
	if err != nil {
		return inspect.Call{}, err
	}
	defer end(&err)
	part, worker, item, err := o.running(ctx, source, offset)
	if err != nil {
		return inspect.Call{}, fmt.Errorf("cancel: %w", err)
	}
	call = inspect.Call{
		Stage: item.Stage, Function: item.Function, Queue: item.Queue, Source: item.Source, Offset: item.Offset,
		Items: item.Items, Attempt: item.Attempt, Since: item.Since,
	}
	name := fmt.Sprintf("%s %d", source, offset)
	if err := act.note(ctx, part, "cancel", "item "+name, 1); err != nil {
		return call, err
	}
	told, err := until(ctx, part, worker, broker.Hint{Kind: broker.HintStop, What: name}, func(w broker.Process) bool {
		_, running := itemOf(w, source, offset)
		return !running
	})
	if err == nil && !told {
		err = fmt.Errorf("cancel item %s: %w: worker %s waits for it: restart the worker", name, ErrStillRunning, worker)
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
// obeyed. It returns false after ten seconds.
func until(ctx context.Context, part *broker.Client, worker string, hint broker.Hint, done func(broker.Process) bool) (bool, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(repeatAfter)
	defer tick.Stop()
	for {
		if err := part.SendHint(ctx, worker, hint); err != nil {
			return false, err
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-limit.C:
			return false, nil
		case <-tick.C:
		}
		w, live, err := part.Worker(ctx, worker)
		if err != nil || !live || done(w) {
			return err == nil, err
		}
	}
}
