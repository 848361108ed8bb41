package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// Submit sends one value to the fleet, lets a worker call f with it, and returns a future for the
// result. It waits only while the queue of the function is full, see MaxSize. For many values,
// MapSlice takes fewer round trips. Errors: that of a value which cannot be encoded or has more
// than 64 MiB, ErrTypeMismatch, ErrFunctionNotRegistered as for Map, ErrClosed, and the cause of
// ctx.
func Submit[In, Out any](ctx context.Context, ex *Executor, f workers.Func[In, Out], v In, opts ...StageOption) (*Future[Out], error) {
	futures, err := MapSlice(ctx, ex, f, []In{v}, opts...)
	if err != nil {
		return nil, err
	}
	return futures[0], nil
}

// MapSlice is Submit for many values: it returns their futures in the same order. If one of the
// values cannot be encoded, none is sent.
func MapSlice[In, Out any](ctx context.Context, ex *Executor, f workers.Func[In, Out], values []In, opts ...StageOption) (_ []*Future[Out], err error) {
	o, err := submitOptions("submit", opts)
	if err != nil {
		return nil, err
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	bound, end, err := ex.begin(ctx, "submit")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if len(values) == 0 {
		return nil, nil
	}
	in, out := runner.Func[In, Out](f).Codecs()
	frames, err := encode(in, values)
	if err != nil {
		return nil, fmt.Errorf("submit to %s: %w", f.Name(), err)
	}
	results, err := ex.home.submit(bound, submission{f.Name(), in.Info(), out.Info(), o}, frames)
	if err != nil {
		return nil, err
	}
	futures := make([]*Future[Out], len(results))
	for i, r := range results {
		futures[i] = &Future[Out]{part: ex.home, id: r.id, typed: out, result: r}
	}
	return futures, nil
}

func encode[T any](typed codec.Typed[T], values []T) ([][]byte, error) {
	items := make([][]byte, len(values))
	for i, v := range values {
		item, err := typed.Append(nil, v)
		if err == nil && len(item) > batch.MaxItem {
			err = fmt.Errorf("it has %d bytes encoded, at most %d are taken", len(item), batch.MaxItem)
		}
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", i, err)
		}
		items[i] = item
	}
	return items, nil
}

func (p *partition) newSubmitter(ctx context.Context, sub submission) (*submitter, error) {
	if err := p.ex.registered(sub.function); err != nil {
		return nil, fmt.Errorf("submit: %w", err)
	}
	in, out, held, err := p.types(ctx, sub.function, sub.options.tagList(), sub.in, sub.out)
	if err != nil {
		return nil, err
	}
	name := uniqueName(sub.function)
	q, _, err := p.declare(ctx, broker.Queue{Name: name, Owner: p.ex.id, Bounds: sub.options.bounds, Flow: name}, in)
	if err != nil {
		return nil, err
	}
	source, stored, err := p.c.Source(ctx, uniqueName("s"), q, 1, broker.Of(p.ex.id))
	if err != nil {
		p.discard(q)
		return nil, err
	}
	err = p.c.Stage(ctx, broker.Stage{
		ID: name, Kind: broker.KindFuture, Function: sub.function, Ins: []broker.Queue{q}, Outs: []broker.Out{},
		InCodec: in.Codec, InType: in.Type, OutCodec: out.Codec, OutType: out.Type,
		Timeout: sub.options.timeout, Retries: sub.options.retries,
		Backoff: sub.options.backoff, MaxBackoff: sub.options.longest, Tags: sub.options.tagList(), TTL: resultTTL, Reply: p.ex.id,
	})
	if err != nil {
		p.discard(q)
		return nil, err
	}
	if !held {
		p.warnLater(ctx, sub.function, sub.options.tagList(), name)
	}
	wake := p.mailbox.addSender()
	s := &submitter{
		queue: name, turn: make(chan struct{}, 1), wake: wake,
		sender: producer.NewSender(p.c, source, p.ex.id, wake, broker.Window{}), batcher: producer.NewBatcher(source.Name, stored, q.Bounds),
	}
	s.turn <- struct{}{}
	return s, nil
}

// send stores items and returns the results that their futures wait for.
func (s *submitter) send(ctx context.Context, m *mailbox, items [][]byte) ([]*result, error) {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { s.turn <- struct{}{} }()
	results := m.expect(s, s.sender.Source().Name, s.batcher.Next(), len(items))
	err := s.sendAll(ctx, items)
	if err != nil {
		m.unexpect(results)
		return nil, err
	}
	m.markSent(results)
	return results, nil
}

func (s *submitter) sendAll(ctx context.Context, items [][]byte) error {
	for _, item := range items {
		s.batcher.Limit(s.sender.Portion())
		s.batcher.End(append(s.batcher.Begin(), item...))
		if s.batcher.Full() {
			if err := s.sender.Send(ctx, s.batcher.Take()); err != nil {
				return err
			}
		}
	}
	return s.sender.Send(ctx, s.batcher.Take())
}
