package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// Map2 makes a stage over two queues: workers call f, which workers.Define2 has made, with the nth
// items of both. If one of the two items has failed, the pair has its failure and f is not called.
// The stage ends with the shorter queue. The remaining items of the longer one are not read: its
// flow is deleted if it has no name, as after a loop over bridge.All that was left; its scatter
// waits if it has a name and a bound.
//
// This process makes the pairs. So it is the one consumer of both queues until one ends, and items
// that it has read from named queues are lost with it. Map2 is otherwise like Map.
func Map2[A, B, Out any](ctx context.Context, f workers.Func[workers.Pair[A, B], Out], a *Queue[A], b *Queue[B], opts ...MapOption) (*Queue[Out], error) {
	if err := errors.Join(a.check("map2"), b.check("map2"), f.Err()); err != nil {
		return nil, err
	}
	if err := a.part.joinable("map2", b.part); err != nil {
		return nil, err
	}
	if err := a.part.ex.registered(f.Name()); err != nil {
		return nil, fmt.Errorf("map2: %w", err)
	}
	if a.q.Counted() != b.q.Counted() && slices.ContainsFunc(paths(a.q), func(p string) bool { return slices.ContainsFunc(paths(b.q), sameRoot(p)) }) {
		return nil, fmt.Errorf("map2: %w: queues %q and %q have the same inputs, and only one of them is behind a filter: "+
			"filter before the Multiplex, or both of its queues", ErrTypeMismatch, a.q.Name, b.q.Name)
	}
	typed, _ := runner.Func[workers.Pair[A, B], Out](f).Codecs()
	pairs, feed, bound, err := newFeed(ctx, a.part, typed, producer.Options{})
	if err != nil {
		return nil, err
	}
	p := &pairer[A, B]{feed: feed, encode: typed.Append}
	if err := p.open(bound, a, b); err != nil {
		a.part.discard(pairs.q)
		feed.Release(ctx, nil)
		return nil, fmt.Errorf("map2: %w", err)
	}
	out, err := Map(ctx, f, pairs, opts...)
	if err != nil {
		p.a.leave(bound, err)
		p.b.leave(bound, err)
		a.part.discard(pairs.q)
		feed.Release(ctx, nil)
		return nil, err
	}
	go p.run(bound)
	return out, nil
}

// sameRoot returns a function that reports whether a path begins at the root of another one.
func sameRoot(path string) func(other string) bool {
	root, _ := broker.Root(path)
	return func(other string) bool {
		at, _ := broker.Root(other)
		return at == root
	}
}

// open makes the pairer the consumer of both queues, or of none.
func (p *pairer[A, B]) open(ctx context.Context, a *Queue[A], b *Queue[B]) (err error) {
	p.a.typed, p.b.typed = a.typed, b.typed
	if p.a.upstream, err = openUpstream(ctx, a, consumer.ReceiverOptions{}); err != nil {
		return err
	}
	if p.b.upstream, err = openUpstream(ctx, b, consumer.ReceiverOptions{}); err != nil {
		p.a.leave(ctx, err)
	}
	return err
}

// A side is one of the two queues.
type side[T any] struct {
	upstream
	typed  codec.Typed[T]
	values []T
	failed []*batch.Failure
}

// A pairer makes pairs of the items of two queues. Its one goroutine reads both and feeds a third
// queue.
type pairer[A, B any] struct {
	feed   *producer.Feed
	encode func([]byte, workers.Pair[A, B]) ([]byte, error)
	a      side[A]
	b      side[B]
}

// run makes pairs until one of the queues has ended. After an error, and if a method of a value
// ends the goroutine, it aborts the third queue.
func (p *pairer[A, B]) run(ctx context.Context) {
	reading, stop := context.WithCancelCause(ctx)
	var group errgroup.Group
	p.a.start(reading, &group)
	p.b.start(reading, &group)
	err := errGoexit
	defer func() {
		p.a.r.Left()
		p.b.r.Left()
		stop(errOtherEnded)
		_ = group.Wait() // its functions return nil
		p.a.end(err)
		p.b.end(err)
		p.feed.Release(ctx, err)
	}()
	made := p.pairs(ctx)
	if made == nil {
		made = p.feed.Finish(ctx)
	}
	err = made
}

var errGoexit = errors.New("Map2: a method that encodes or decodes a value called runtime.Goexit, as FailNow of a test does: return an error instead")

// pairs sends pairs until one of the sides has ended.
func (p *pairer[A, B]) pairs(ctx context.Context) error {
	for {
		if ok, err := p.a.fill(ctx); !ok || err != nil {
			return err
		}
		if ok, err := p.b.fill(ctx); !ok || err != nil {
			return err
		}
		n := min(len(p.a.values), len(p.b.values))
		for i := range n {
			p.add(i)
			if p.feed.Full() {
				if err := p.send(ctx); err != nil {
					return err
				}
			}
		}
		if err := p.send(ctx); err != nil {
			return err
		}
		p.a.done(n)
		p.b.done(n)
	}
}

func (p *pairer[A, B]) send(ctx context.Context) error {
	defer func() { p.feed.Limit(p.feed.Portion()) }()
	return p.feed.Send(ctx, p.feed.Take())
}

func (p *pairer[A, B]) add(i int) {
	begun := p.feed.Begin()
	for _, failure := range []*batch.Failure{p.a.failed[i], p.b.failed[i]} {
		if failure != nil {
			p.feed.Fail(begun, *failure)
			return
		}
	}
	buf, err := p.encode(begun, workers.Pair[A, B]{First: p.a.values[i], Second: p.b.values[i]})
	if err != nil {
		p.feed.Fail(begun, batch.CannotEncode(err))
		return
	}
	p.feed.End(buf)
}

// fill waits until there are values. It returns false if the queue has ended.
func (s *side[T]) fill(ctx context.Context) (bool, error) {
	if len(s.values) > 0 {
		return true, nil
	}
	for {
		select {
		case p, ok := <-s.r.Pieces():
			if !ok { // all before was delivered: Run returns
				return false, s.finish()
			}
			if p.Notice { // it has no place in a pair
				s.r.Delivered(1)
				continue
			}
			s.decode(p)
			return true, nil
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

func (s *side[T]) decode(p consumer.Range) {
	s.failed = make([]*batch.Failure, p.Len())
	s.values = s.typed.Results(p.Reader(), p.Len(), p.Entry.Lost, p.Entry.Queue, nil, func(i int, why *batch.Failure) { s.failed[i] = why })
	if s.typed.Copies() {
		s.r.Spent(p)
	}
}

// done removes n values, which count as delivered.
func (s *side[T]) done(n int) {
	s.values, s.failed = s.values[n:], s.failed[n:]
	s.r.Delivered(n)
}
