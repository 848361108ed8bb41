package executor

import (
	"context"
	"errors"
	"fmt"

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
	bound, release, err := ex.tasks.bind(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
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
	source, stored, err := ex.source(making, q, f)
	if err != nil {
		release()
		return nil, nil, nil, err
	}
	source.Overflow = broker.Overflow(f.Overflow)
	if q.Owner != "" {
		ex.flows.add(q.Name)
	}
	wake := ex.hub.sender()
	feed := &Feed{
		ex: ex, wake: wake, state: ex.tasks.feed(), release: release,
		Sender:  edge.NewSender(ex.c, source, ex.id, wake, f.Window),
		Batcher: edge.NewBatcher(source.Name, stored, q.Max, q.MaxB),
	}
	return &Queue[T]{ex: ex, q: q, typed: typed, fed: feed.state}, feed, bound, nil
}

// source makes the source of a feed, or goes on with the one of its name.
func (ex *Executor) source(ctx context.Context, q broker.Queue, f Feeding) (s broker.Source, stored int64, err error) {
	if f.Source == "" {
		return ex.c.Source(ctx, fresh("s"), q, f.Seal, broker.Of(ex.id))
	}
	s, stored, err = ex.c.Source(ctx, f.Source, q, f.Seal, broker.Of(ex.id), broker.Durable())
	if errors.Is(err, ErrEnded) {
		err = fmt.Errorf("%w after %d items, since its input was closed: scatter what is new under another name", err, stored)
	}
	if err == nil && f.Stored != nil {
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
		err = errors.Join(err, f.Abandon(ctx, err))
	}
	if err != nil && ctx.Err() == nil {
		f.ex.log.WarnContext(ctx, "a scatter ended before its input did", "queue", f.Source().Queue.Name, "err", err)
	}
	f.ex.hub.giveBack(f.wake)
	f.ex.tasks.fed(f.state, err)
	f.release()
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
	o.Executor, o.Log = q.ex.id, q.ex.log
	if r, err = edge.Receive(making, q.ex.c, q.q.Name, o); err != nil {
		unbind()
		return nil, nil, nil, err
	}
	return r, bound, func(ended error) {
		defer unbind()
		if ended == nil {
			q.ex.ended(bound, q.q.Name)
		}
	}, nil
}

// Codec is what encodes the items. It is for package bridge.
func (q *Queue[T]) Codec() codec.Typed[T] { return q.typed }

// ended deletes the queues of a flow that was delivered to its end.
func (ex *Executor) ended(ctx context.Context, queue string) {
	if gone := ex.flows.end(queue); len(gone) > 0 {
		if err := ex.c.DeleteAll(ctx, gone); err != nil {
			ex.log.DebugContext(ctx, "queues are deleted later", "queues", gone, "err", err)
		}
	}
}
