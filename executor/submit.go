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
// result. f may be a Chain of functions. Submit waits only while the queue of the function is full, see
// MaxSize. For many values, MapSlice takes fewer round trips. Errors: that of a value which cannot be encoded or has more
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
	handle := runner.Func[In, Out](f)
	function := handle.Function()
	limits, err := o.checkLimits(function)
	if err != nil {
		return nil, err
	}
	if limits != nil {
		o.limits = *limits
	}
	bound, end, err := ex.begin(ctx, "submit")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	if len(values) == 0 {
		return nil, nil
	}
	in, out := handle.Codecs()
	frames, err := encode(in, values)
	if err != nil {
		return nil, fmt.Errorf("submit to %s: %w", f.Name(), err)
	}
	results, err := ex.home.submit(bound, submission{function.Name, in.Info(), out.Info(), function.Calls, o}, function, frames)
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

func (p *partition) newSubmitter(ctx context.Context, sub submission, f *runner.Function) (*submitter, error) {
	found, held, err := p.findLinks(ctx, chainLinks(f, sub.in, sub.out), sub.options.tagList())
	if err != nil {
		return nil, err
	}
	name := uniqueName(sub.function)
	q := p.c.Planned(ofType(broker.Queue{Name: name, Owner: p.ex.id, Bounds: sub.options.bounds, Flow: name}, found[0].in))
	source, stored, err := p.c.Source(ctx, uniqueName("s"), q, 1, broker.Of(p.ex.id), broker.OfPlanned())
	if err != nil {
		p.discard(q)
		return nil, err
	}
	queues, err := p.makeStages(ctx, q, found, sub.options)
	if err != nil {
		p.discard(queues...)
		return nil, err
	}
	s := &submitter{turn: make(chan struct{}, 1), wake: p.mailbox.addSender()}
	for i, q := range queues {
		s.queues = append(s.queues, q.Name)
		if !held[i] {
			p.warnLater(ctx, found[i].name, sub.options.tagList(), q.Name)
		}
	}
	s.sender = producer.NewSender(p.c, source, p.ex.id, s.wake, broker.Window{})
	s.batcher = producer.NewBatcher(source.Name, stored, q.Bounds)
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
