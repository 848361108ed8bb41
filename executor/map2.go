package executor

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// Map2 makes a stage over two queues: f, made by workers.Define2, is called
// with the nth item of each. It ends with the shorter one. The remaining items of the
// other are not read: without a name, its flow is deleted as after a loop over All that was
// left; with a name, its scatter waits where it is bounded. Where one of the two has
// failed, the pair has its failure.
//
// The pairs are made in this process, so that it is the one consumer of both
// queues until it ends, and the items that it has read of named queues go with it. Otherwise
// it is as Map.
func Map2[A, B, Out any](ctx context.Context, f workers.Func[workers.Pair[A, B], Out], a *Queue[A], b *Queue[B], opts ...MapOption) (*Queue[Out], error) {
	if err := errors.Join(a.check("map2"), b.check("map2"), f.Err()); err != nil {
		return nil, err
	}
	if err := a.ex.together("map2", b.ex); err != nil {
		return nil, err
	}
	if err := a.ex.registered(f.Name()); err != nil {
		return nil, fmt.Errorf("map2: %w", err)
	}
	typed, _ := runner.Func[workers.Pair[A, B], Out](f).Codecs()
	pairs, feed, bound, err := NewFeed(ctx, a.ex, typed, producer.Feeding{})
	if err != nil {
		return nil, err
	}
	z := &pairer[A, B]{feed: feed, encode: typed.Append}
	if err := z.open(bound, a, b); err != nil {
		a.ex.discard(pairs.q)
		feed.Ended(ctx, nil)
		return nil, fmt.Errorf("map2: %w", err)
	}
	out, err := Map(ctx, f, pairs, opts...)
	if err != nil {
		z.a.leave(bound, err)
		z.b.leave(bound, err)
		a.ex.discard(pairs.q)
		feed.Ended(ctx, nil)
		return nil, err
	}
	go z.run(bound)
	return out, nil
}

// open makes the pairer the consumer of both queues, or of none.
func (z *pairer[A, B]) open(ctx context.Context, a *Queue[A], b *Queue[B]) (err error) {
	z.a.typed, z.b.typed = a.typed, b.typed
	if z.a.r, _, z.a.release, err = a.Receive(ctx, consumer.ReceiverOptions{}); err != nil {
		return err
	}
	if z.b.r, _, z.b.release, err = b.Receive(ctx, consumer.ReceiverOptions{}); err != nil {
		z.a.leave(ctx, err)
	}
	return err
}

// leave gives the queue up before anything was read.
func (s *side[T]) leave(ctx context.Context, why error) {
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	s.r.Left()
	_ = s.r.Run(stopped) // its error is that of the context
	s.release(why)
}

// A side is one of the two queues.
type side[T any] struct {
	r       *consumer.Receiver
	ended   chan error // what Run returned
	whole   bool       // it returned nil: the stream was delivered to its end
	release func(error)
	typed   codec.Typed[T]
	values  []T
	failed  []*batch.Failure
}

// pairer brings two queues together. Its one goroutine reads both and feeds a
// third.
type pairer[A, B any] struct {
	feed   *producer.Feed
	encode func([]byte, workers.Pair[A, B]) ([]byte, error)
	a      side[A]
	b      side[B]
}

// run makes pairs until one of the queues has ended. What ends it, also a method of a value that
// ends the goroutine, ends the third queue.
func (z *pairer[A, B]) run(ctx context.Context) {
	reading, stop := context.WithCancelCause(ctx)
	z.a.ended, z.b.ended = make(chan error, 1), make(chan error, 1)
	var group errgroup.Group
	group.Go(func() error { z.a.ended <- z.a.r.Run(reading); return nil })
	group.Go(func() error { z.b.ended <- z.b.r.Run(reading); return nil })
	err := errGoexit
	defer func() {
		z.a.r.Left()
		z.b.r.Left()
		stop(errZipped)
		_ = group.Wait() // its functions return nil
		z.a.release(z.a.result(err))
		z.b.release(z.b.result(err))
		z.feed.Ended(ctx, err)
	}()
	made := z.pairs(ctx)
	if made == nil {
		made = z.feed.Finish(ctx, z.feed.Next())
	}
	err = made
}

var errGoexit = errors.New("Map2: a method that encodes or decodes a value called runtime.Goexit, as FailNow of a test does: return an error instead")

var errZipped = fmt.Errorf("one of two queues has ended: %w", consumer.ErrLeft)

// result is how the gather of a side has ended, once Run has returned. failed is why no more pairs
// are made, if not since a side has ended.
func (s *side[T]) result(failed error) error {
	select {
	case err := <-s.ended:
		s.whole = err == nil
	default: // fill has taken it
	}
	switch {
	case s.whole:
		return nil
	case failed != nil:
		return failed
	}
	return errZipped
}

// pairs sends what both sides have, until one of them has ended.
func (z *pairer[A, B]) pairs(ctx context.Context) error {
	for {
		if ok, err := z.a.fill(ctx); !ok || err != nil {
			return err
		}
		if ok, err := z.b.fill(ctx); !ok || err != nil {
			return err
		}
		n := min(len(z.a.values), len(z.b.values))
		for i := range n {
			z.add(i)
			if z.feed.Full() {
				if err := z.send(ctx); err != nil {
					return err
				}
			}
		}
		if err := z.send(ctx); err != nil {
			return err
		}
		z.a.done(n)
		z.b.done(n)
	}
}

func (z *pairer[A, B]) send(ctx context.Context) error {
	defer func() { z.feed.Limit(z.feed.Portion()) }()
	return z.feed.Send(ctx, z.feed.Take())
}

func (z *pairer[A, B]) add(i int) {
	begun := z.feed.Begin()
	for _, failure := range []*batch.Failure{z.a.failed[i], z.b.failed[i]} {
		if failure != nil {
			z.feed.Fail(begun, *failure)
			return
		}
	}
	buf, err := z.encode(begun, workers.Pair[A, B]{First: z.a.values[i], Second: z.b.values[i]})
	if err != nil {
		text, stack := batch.Describe(err)
		z.feed.Fail(begun, batch.Failure{Code: batch.CodeEncode, Message: text, Stack: stack})
		return
	}
	z.feed.End(buf)
}

// fill waits until there are values; false: there will be none.
func (s *side[T]) fill(ctx context.Context) (bool, error) {
	if len(s.values) > 0 {
		return true, nil
	}
	for {
		select {
		case p, ok := <-s.r.Pieces():
			if !ok { // all before was delivered: Run returns
				s.r.Left()
				err := <-s.ended
				s.whole = err == nil
				return false, err
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

// done drops n values, which are delivered.
func (s *side[T]) done(n int) {
	s.values, s.failed = s.values[n:], s.failed[n:]
	s.r.Delivered(n)
}
