package executor

import (
	"context"
	"errors"
	"strings"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// A feedKeeper is the part of an Executor that one of its feeds belongs to.
type feedKeeper struct {
	ex      *Executor
	sender  *producer.Sender
	wake    chan struct{}
	state   *feeding
	release func()
}

// NewFeed makes a queue and a source for it, which lives until Ended, at most as
// long as the context that it returns. It is for package bridge: programs call
// bridge.Scatter.
func NewFeed[T any](ctx context.Context, ex *Executor, typed codec.Typed[T], f producer.Feeding) (_ *Queue[T], _ *producer.Feed, _ context.Context, err error) {
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
	source.Overflow = f.Overflow
	if q.Owner != "" {
		ex.flows.add(ctx, q.Name, stop)
	}
	wake := ex.mailbox.sender()
	keeper := &feedKeeper{
		ex: ex, sender: producer.NewSender(ex.c, source, ex.id, wake, f.Window), wake: wake, state: ex.tasks.feed(), release: release,
	}
	feed := producer.NewFeed(keeper.sender, producer.NewBatcher(source.Name, stored, f.Room(q.Max), q.MaxB), keeper)
	return &Queue[T]{ex: ex, q: q, typed: typed, fed: keeper.state, stored: stored}, feed, bound, nil
}

// source makes the source of a feed, or goes on with the one of its name.
func (ex *Executor) source(ctx context.Context, q broker.Queue, f producer.Feeding, format string) (s broker.Source, stored int64, err error) {
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
		err = &EndedError{Source: f.Source, Stored: stored}
	case err != nil && ctx.Err() != nil && !broker.IsRefusal(err): // the reply may be lost
		cause := err.Error()
		ex.owed.undo("end of source "+s.Name, func(ctx context.Context) error { return ex.c.Abandon(ctx, s, cause) })
	}
	return s, stored, err
}

// Alone lets Executor.Flush not wait for this feed: its callers know which items are stored.
func (f *feedKeeper) Alone() { f.ex.tasks.alone(f.state) }

// Ended ends what NewFeed began; err is how it went. An error ends the source
// where it stands, but for a durable one, which waits for its successor.
func (f *feedKeeper) Ended(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, ErrQueueNotFound) && !errors.Is(err, ErrFenced) {
		f.abandon(ctx, err)
	}
	if err != nil && ctx.Err() == nil {
		f.ex.log.WarnContext(ctx, "a scatter ended before its input did", "queue", f.sender.Source().Queue.Name, "err", err)
	}
	if errors.Is(err, ErrQueueNotFound) {
		f.ex.flows.forget(f.sender.Source().Queue.Name)
	}
	f.ex.mailbox.giveBack(f.wake)
	f.ex.tasks.fed(f.state, err)
	f.release()
}

// abandon ends the source where it stands, in the background if that fails at first.
func (f *feedKeeper) abandon(ctx context.Context, cause error) {
	failed := f.sender.Abandon(ctx, cause)
	if failed == nil || broker.IsRefusal(failed) {
		return
	}
	c, source := f.ex.c, f.sender.Source()
	f.ex.log.WarnContext(ctx, "the end of a source failed; it is repeated until it succeeds", "queue", source.Queue.Name, "source", source.Name, "err", failed)
	f.ex.owed.undo("end of source "+source.Name, func(ctx context.Context) error { return c.Abandon(ctx, source, cause.Error()) })
}

// Receive makes a receiver the one consumer of the queue, which lives until its
// release is called, at most as long as the context that it returns. It is for
// package bridge: programs call bridge.Gather.
func (q *Queue[T]) Receive(ctx context.Context, o consumer.ReceiverOptions) (r *consumer.Receiver, bound context.Context, release func(ended error), err error) {
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
		case errors.Is(ended, ErrQueueNotFound):
			q.ex.flows.forget(q.q.Name)
		default:
			left := errors.Is(errors.Join(ended, context.Cause(bound)), consumer.ErrLeft) // a call that was cut may say only that its context ended
			q.ex.flows.over(q.q.Name, left || errors.Is(ended, ErrTruncated))
		}
	}
	if r, err = q.ex.receive(making, q.q.Name, o); err != nil {
		release(err)
		return nil, nil, nil, err
	}
	q.ex.resumeOf(q.q)
	return r, bound, release, nil
}

// Codec is the codec of the items. It is for package bridge.
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
