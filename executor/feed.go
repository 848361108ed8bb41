package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// Internal is internal: package bridge calls it.
func (q *Queue[T]) Internal(handle.Key) handle.Queue[*Executor, T] { return internalQueue[T]{q} }

// An internalQueue is the side of a Queue that package bridge uses.
type internalQueue[T any] struct{ q *Queue[T] }

// Scatter makes the queue and a source of it, see handle.Queue.
func (i internalQueue[T]) Scatter(ctx context.Context, ex *Executor, typed codec.Typed[T], o producer.Options) (*producer.Feed, context.Context, error) {
	if err := ex.check(""); err != nil {
		return nil, nil, err
	}
	q, feed, bound, err := newFeed(ctx, ex.home, typed, o)
	if err != nil {
		return nil, nil, err
	}
	*i.q = *q
	return feed, bound, nil
}

// Gather makes a receiver of the queue, see handle.Queue.
func (i internalQueue[T]) Gather(ctx context.Context, o consumer.ReceiverOptions) (*consumer.Receiver, context.Context, func(error), error) {
	return i.q.gather(ctx, o)
}

// Private is the name of the queue that gets the results of the scatter, "" if they are not private.
func (i internalQueue[T]) Private() string {
	if i.q == nil {
		return ""
	}
	return i.q.private
}

// Codec is the codec of the items.
func (i internalQueue[T]) Codec() codec.Typed[T] { return i.q.typed }

// A feedKeeper is the part of a partition that one of its feeds belongs to.
type feedKeeper struct {
	part    *partition
	sender  *producer.Sender
	stored  int64  // items of the source before the feed began
	private string // name of the queue of its results, if they are private
	wake    chan struct{}
	state   *scatterState
	unbind  func()
}

// newFeed makes a queue and a source of it, in the partition p unless a queue of that name is in
// another one. The source lives until the feed is released, at most as long as the context that
// newFeed returns.
func newFeed[T any](ctx context.Context, p *partition, typed codec.Typed[T], o producer.Options) (*Queue[T], *producer.Feed, context.Context, error) {
	keeper, feed, bound, err := p.feed(ctx, typed.Info(), o)
	if err != nil {
		return nil, nil, nil, err
	}
	q := &Queue[T]{part: keeper.part, q: keeper.sender.Source().Queue, typed: typed, scatter: keeper.state, stored: keeper.stored, private: keeper.private}
	return q, feed, bound, nil
}

func (p *partition) feed(ctx context.Context, items codec.Info, o producer.Options) (_ *feedKeeper, _ *producer.Feed, bound context.Context, err error) {
	making, end, err := p.ex.tasks.begin(ctx, "")
	if err != nil {
		return nil, nil, nil, err
	}
	defer end(&err)
	if o.Expire > 0 && o.Expire < p.ex.lease {
		return nil, nil, nil, fmt.Errorf("Expire(%v): it must be at least the lease of the Executor, which is %v", o.Expire, p.ex.lease)
	}
	if o.Queue != "" {
		if p, err = p.placeOf(making, o.Queue); err != nil {
			return nil, nil, nil, err
		}
	}
	bound, unbind, err := p.ex.tasks.bind(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	bound, stop := context.WithCancelCause(bound)
	source, stored, err := p.source(making, items, o)
	if err != nil {
		stop(nil)
		unbind()
		return nil, nil, nil, err
	}
	if q := source.Queue; q.Owner != "" {
		p.flows.add(ctx, q.Name, stop)
	}
	private := ""
	if o.Private != "" {
		private = source.Name
		p.flows.add(ctx, private, stop)
	}
	wake := p.mailbox.addSender()
	keeper := &feedKeeper{
		part: p, sender: producer.NewSender(p.c, source, p.ex.id, wake, o.Window), stored: stored, private: private, wake: wake,
		state: p.ex.tasks.addScatter(), unbind: func() { stop(nil); unbind() },
	}
	batcher := producer.NewBatcher(source.Name, stored, o.BatchBounds(source.Queue.Bounds))
	feed := producer.NewFeed(keeper.sender, batcher, keeper)
	p.active.addFeed(keeper.sender)
	return keeper, feed, bound, nil
}

// source makes the queue of a feed and its source, or continues those of their names.
func (p *partition) source(ctx context.Context, items codec.Info, o producer.Options) (s broker.Source, stored int64, err error) {
	seal := 0
	declared := broker.Queue{Name: o.Queue, Bounds: o.Bounds, Expires: o.Expire}
	if o.Queue == "" {
		declared.Name, declared.Owner = uniqueName("scatter"), p.ex.id
	}
	if o.Seal || o.Queue == "" {
		seal = 1
	}
	declared.Flow = declared.Name
	opts := []broker.SourceOption{broker.Of(p.ex.id)}
	var q, private broker.Queue
	if o.Private != "" {
		if private, err = p.private(ctx, o); err != nil {
			return broker.Source{}, 0, err
		}
		opts = append(opts, broker.Private(private))
	}
	if o.Queue == "" {
		q, opts = p.c.Planned(ofType(declared, items)), append(opts, broker.OfPlanned())
	} else if q, _, err = p.declare(ctx, declared, items); err != nil {
		return broker.Source{}, 0, err
	}
	if o.KeepInputs {
		opts = append(opts, broker.KeepInputs(items.String()))
	}
	if o.Source == "" {
		s, stored, err = p.c.Source(ctx, uniqueName("s"), q, seal, opts...)
	} else {
		s, stored, err = p.c.Source(ctx, o.Source, q, seal, append(opts, broker.Durable())...)
	}
	switch {
	case errors.Is(err, broker.ErrEnded):
		err = &EndedError{Source: o.Source, Stored: stored}
	case err != nil && ctx.Err() != nil && !broker.IsRefusal(err): // the reply may be lost
		unsure, cause := s, err.Error()
		p.owed.undo("end of source "+s.Name, func(ctx context.Context) error { return p.c.Abandon(ctx, unsure, cause) })
	}
	if err != nil {
		p.discard(q, private)
	}
	s.Overflow = o.Overflow
	return s, stored, err
}

// ExcludeFromFlush lets Executor.Flush ignore this feed: its callers know which items are stored.
func (f *feedKeeper) ExcludeFromFlush() { f.part.ex.tasks.excludeFromFlush(f.state) }

// Release ends the feed; err is the reason. An error abandons the source, except a durable one,
// which waits for its successor.
func (f *feedKeeper) Release(ctx context.Context, err error) {
	queue := f.sender.Source().Queue.Name
	if err != nil && !errors.Is(err, ErrQueueNotFound) && !errors.Is(err, ErrFenced) {
		f.abandon(ctx, err)
	}
	if err != nil && ctx.Err() == nil {
		f.part.ex.log.WarnContext(ctx, "a scatter ended before its input did", "queue", queue, "err", err)
	}
	if errors.Is(err, ErrQueueNotFound) {
		f.part.flows.forget(queue)
	}
	f.part.active.removeFeed(f.sender)
	f.part.mailbox.removeSender(f.wake)
	f.part.ex.tasks.endScatter(f.state, err)
	f.unbind()
}

// abandon ends the source behind its stored items, in the background if the first attempt fails.
func (f *feedKeeper) abandon(ctx context.Context, cause error) {
	failed := f.sender.Abandon(ctx, cause)
	if failed == nil || broker.IsRefusal(failed) {
		return
	}
	c, source := f.part.c, f.sender.Source()
	f.part.ex.log.WarnContext(ctx, "the end of a source failed; it is repeated until it succeeds", "queue", source.Queue.Name, "source", source.Name, "err", failed)
	f.part.owed.undo("end of source "+source.Name, func(ctx context.Context) error { return c.Abandon(ctx, source, cause.Error()) })
}

// SourceFinished notes an end that is stored once more, a lease later.
func (f *feedKeeper) SourceFinished(end int64) { f.part.ends.add(f.sender.Source(), end) }

// storedEnds are the ends of sources that Redis has stored. A failover may lose the end that was
// stored last, and the gather of that source would never end. So each end is stored again, a lease
// later.
type storedEnds struct {
	mu   sync.Mutex
	list []storedEnd // in the order in which they were stored
}

type storedEnd struct {
	broker.End
	since time.Time
}

func (e *storedEnds) add(source broker.Source, at int64) {
	e.mu.Lock()
	e.list = append(e.list, storedEnd{broker.End{Source: source, At: at}, time.Now()})
	e.mu.Unlock()
}

// confirmations is the number of ends that one round trip stores again.
const confirmations = 100

// before returns the first ends that were stored before t.
func (e *storedEnds) before(t time.Time) (due []broker.End) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, end := range e.list[:min(len(e.list), confirmations)] {
		if !end.since.Before(t) {
			break
		}
		due = append(due, end.End)
	}
	return due
}

// remove removes the first n ends.
func (e *storedEnds) remove(n int) {
	e.mu.Lock()
	if e.list = e.list[n:]; len(e.list) == 0 {
		e.list = nil
	}
	e.mu.Unlock()
}

// confirmEnds stores the ends of sources again that are a lease old, and removes them from the
// list.
func (p *partition) confirmEnds(ctx context.Context) error {
	for due := p.ends.before(time.Now().Add(-p.ex.lease)); len(due) > 0; due = p.ends.before(time.Now().Add(-p.ex.lease)) {
		left := slices.DeleteFunc(slices.Clone(due), func(e broker.End) bool { // its flow was delivered and deleted
			return e.Source.Queue.Owner != "" && !p.flows.has(e.Source.Queue.Name)
		})
		if len(left) > 0 {
			if err := p.c.FinishAgain(ctx, left); err != nil {
				return err
			}
		}
		p.ends.remove(len(due))
	}
	return nil
}
