package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/edge"
)

// Feeding is what Feed has to know. It is for package bridge.
type Feeding struct {
	Name   string // of a queue that stays, "" for one of the Executor's own
	Max    int64  // items that may wait
	MaxB   int64  // bytes that may wait, 0 for 64 MiB
	Window int64  // items between here and the gathers
	Seal   int    // 1: no other source joins
	// Overflow is what becomes of items for which there is no room: a bridge.Policy.
	Overflow string
	Source   string // name of a durable source, "" for one that goes with the Executor
	Keep     bool   // each item is kept until it is delivered
	Stored   *int64 // gets the number of items that the source has stored already; may be nil
}

// A Feed is a source that a goroutine of package bridge adds to.
type Feed struct {
	ex      *Executor
	wake    chan struct{}
	state   *feeding
	release func()
	*edge.Sender
	*edge.Batcher
}

// NewFeed makes a queue and a source for it, which lives until Ended, at most as
// long as the context that it returns. It is for package bridge: programs call
// bridge.Scatter.
func NewFeed[T any](ctx context.Context, ex *Executor, typed codec.Typed[T], f Feeding) (_ *Queue[T], _ *Feed, _ context.Context, err error) {
	making, end, err := ex.begin(ctx, "")
	if err != nil {
		return nil, nil, nil, err
	}
	defer end(&err)
	if f.Name != "" { // where it is, or here
		part, err := ex.c.Place(making, f.Name, -1)
		if err == nil {
			ex, err = ex.at(making, part)
		}
		if err != nil {
			return nil, nil, nil, err
		}
	}
	bound, unbind, err := ex.tasks.bind(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	bound, stop := context.WithCancelCause(bound)
	release := func() { stop(nil); unbind() }
	declared := broker.Queue{Name: f.Name, Max: f.Max, MaxB: f.MaxB}
	if f.Name == "" {
		declared.Name, declared.Owner = fresh("scatter"), ex.id
		f.Seal = 1
	}
	declared.Flow = declared.Name
	q, _, err := ex.declare(making, declared, typed.Info())
	if err != nil {
		release()
		return nil, nil, nil, err
	}
	source, stored, err := ex.source(making, q, f, typed.Info().String())
	if err != nil {
		ex.discard(q)
		release()
		return nil, nil, nil, err
	}
	source.Overflow = broker.Overflow(f.Overflow)
	if q.Owner != "" {
		ex.flows.add(ctx, q.Name, stop)
	}
	wake := ex.hub.sender()
	feed := &Feed{
		ex: ex, wake: wake, state: ex.tasks.feed(), release: release,
		Sender:  edge.NewSender(ex.c, source, ex.id, wake, f.Window),
		Batcher: edge.NewBatcher(source.Name, stored, f.room(q), q.MaxB),
	}
	return &Queue[T]{ex: ex, q: q, typed: typed, fed: feed.state}, feed, bound, nil
}

// room returns the bound of a batch in items, 0 for none: what the queue takes, and with
// DropOldest what the window takes, since a batch that is larger would be dropped as a whole.
func (f Feeding) room(q broker.Queue) int64 {
	window := max(f.Window, -f.Window)
	if broker.Overflow(f.Overflow) != broker.DropOldest || window == 0 {
		return q.Max
	}
	if q.Max == 0 {
		return window
	}
	return min(q.Max, window)
}

// source makes the source of a feed, or goes on with the one of its name.
func (ex *Executor) source(ctx context.Context, q broker.Queue, f Feeding, format string) (s broker.Source, stored int64, err error) {
	opts := []broker.SourceOption{broker.Of(ex.id)}
	if f.Keep {
		opts = append(opts, broker.KeepInputs(format))
	}
	if f.Source == "" {
		s, stored, err = ex.c.Source(ctx, fresh("s"), q, f.Seal, opts...)
	} else {
		s, stored, err = ex.c.Source(ctx, f.Source, q, f.Seal, append(opts, broker.Durable())...)
	}
	switch {
	case errors.Is(err, ErrEnded):
		if f.Stored != nil {
			*f.Stored = stored
		}
		err = fmt.Errorf("%w after %d items, since its input was closed: scatter what is new under another name", err, stored)
	case err != nil && ctx.Err() != nil && !broker.IsRefusal(err): // the reply may be lost
		cause := err.Error()
		ex.owed.undo("end of source "+s.Name, func(ctx context.Context) error { return ex.c.Abandon(ctx, s, cause) })
	case err == nil && f.Stored != nil:
		*f.Stored = stored
	}
	return s, stored, err
}

// Alone lets Executor.Flush not wait for this feed: its callers know what is stored.
func (f *Feed) Alone() { f.ex.tasks.alone(f.state) }

// Ended ends what NewFeed began; err is how it went. An error ends the source
// where it stands, but for a durable one, which waits for its successor.
func (f *Feed) Ended(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, ErrNoQueue) && !errors.Is(err, ErrFenced) {
		f.abandon(ctx, err)
	}
	if err != nil && ctx.Err() == nil {
		f.ex.log.WarnContext(ctx, "a scatter ended before its input did", "queue", f.Source().Queue.Name, "err", err)
	}
	if errors.Is(err, ErrNoQueue) {
		f.ex.flows.forget(f.Source().Queue.Name)
	}
	f.ex.hub.giveBack(f.wake)
	f.ex.tasks.fed(f.state, err)
	f.release()
}

// abandon ends the source where it stands, in the background if that fails at first.
func (f *Feed) abandon(ctx context.Context, cause error) {
	failed := f.Abandon(ctx, cause)
	if failed == nil || broker.IsRefusal(failed) {
		return
	}
	c, source := f.ex.c, f.Source()
	f.ex.log.WarnContext(ctx, "the end of a source failed; it is repeated until it succeeds", "queue", source.Queue.Name, "source", source.Name, "err", failed)
	f.ex.owed.undo("end of source "+source.Name, func(ctx context.Context) error { return c.Abandon(ctx, source, cause.Error()) })
}

// Receive makes a receiver the one consumer of the queue, which lives until its
// release is called, at most as long as the context that it returns. It is for
// package bridge: programs call bridge.Gather.
func (q *Queue[T]) Receive(ctx context.Context, o edge.ReceiverOptions) (r *edge.Receiver, bound context.Context, release func(ended error), err error) {
	making, end, err := q.begin(ctx, "gather")
	if err != nil {
		return nil, nil, nil, err
	}
	defer end(&err)
	bound, unbind, err := q.ex.tasks.bind(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	o.Executor, o.Log, o.Later = q.ex.id, q.ex.log, q.ex.owed.undo
	q.ex.flows.begin(q.q.Name)
	release = func(ended error) {
		defer unbind()
		switch {
		case ended == nil:
			q.ex.ended(bound, q.q.Name)
		case errors.Is(ended, ErrNoQueue):
			q.ex.flows.forget(q.q.Name)
		default:
			left := errors.Is(errors.Join(ended, context.Cause(bound)), edge.ErrLeft) // a call that was cut may say only that its context ended
			q.ex.flows.over(q.q.Name, left || errors.Is(ended, ErrCut))
		}
	}
	if r, err = q.ex.receive(making, q.q.Name, o); err != nil {
		release(err)
		return nil, nil, nil, err
	}
	q.ex.resumeOf(q.q)
	return r, bound, release, nil
}

// Codec is what encodes the items. It is for package bridge.
func (q *Queue[T]) Codec() codec.Typed[T] { return q.typed }

// discard deletes those of some queues that have no name of the user's, in the background: the call that has made
// them, or may have made them, has failed.
func (ex *Executor) discard(queues ...broker.Queue) {
	var names []string
	for _, q := range queues {
		if q.Owner != "" {
			names = append(names, q.Name)
			ex.flows.forget(q.Name)
		}
	}
	if len(names) > 0 {
		ex.owed.undo("deletion of queues "+strings.Join(names, ", "), func(ctx context.Context) error { return ex.c.DeleteAll(ctx, names) })
	}
}
