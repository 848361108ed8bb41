// Package flow has pipelines of any item type and any cost, with dqbridge and by hand.
package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A Flow is N items through stages.
type Flow[T any] struct {
	N      int
	Item   func(i int) T
	Check  func(i int, v T) error // called for each result in order
	Stages []workers.Func[T, T]
	Opts   []executor.MapOption
	Buffer int // of the channel of the items; 0: work.Capacity
}

// Of has another number of items.
func (f Flow[T]) Of(n int) Flow[T] {
	f.N = n
	return f
}

// Functions are the different stages.
func (f Flow[T]) Functions() (list []workers.Function) {
	for _, stage := range f.Stages {
		if !slices.ContainsFunc(list, func(g workers.Function) bool { return g.Name() == stage.Name() }) {
			list = append(list, stage)
		}
	}
	return list
}

// Open opens the flow with dqbridge.
func (f Flow[T]) Open(ctx context.Context, ex *executor.Executor, in <-chan T, opts ...bridge.ScatterOption) (<-chan bridge.Result[T], error) {
	q, err := bridge.Scatter(ctx, ex, in, opts...)
	if err != nil {
		return nil, err
	}
	return Through(ctx, q, f.Stages, f.Opts...)
}

// Through maps the stages and gathers their results.
func Through[T any](
	ctx context.Context, q *executor.Queue[T], stages []workers.Func[T, T], opts ...executor.MapOption,
) (<-chan bridge.Result[T], error) {
	for _, stage := range stages {
		var err error
		if q, err = executor.Map(ctx, stage, q, opts...); err != nil {
			return nil, err
		}
	}
	return bridge.Gather(ctx, q)
}

// Feed sends n items, unless ctx ends, and closes the channel.
func Feed[T any](ctx context.Context, in chan<- T, n int, item func(i int) T) {
	defer close(in)
	for i := range n {
		select {
		case in <- item(i):
		case <-ctx.Done():
			return
		}
	}
}

// A System opens the pipeline of a flow for use, and closes it afterwards.
type System[T any] func(ctx context.Context, f Flow[T], use Use[T]) error

// A Use is the caller of an open pipeline. ends reports whether next returns io.EOF at the end.
type Use[T any] func(in chan<- T, next func() (T, error), ends bool) error

// On is dqbridge on an Executor that has the functions.
func On[T any](ex *executor.Executor) System[T] {
	return func(ctx context.Context, f Flow[T], use Use[T]) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		in := make(chan T, max(cmp.Or(f.Buffer, work.Capacity), 0))
		out, err := f.Open(ctx, ex, in)
		if err != nil {
			return err
		}
		return use(in, func() (v T, err error) {
			r, more := <-out
			if !more {
				return v, io.EOF
			}
			return r.Value, r.Err
		}, true)
	}
}

// ByHand is the pipeline by hand in the encoding of dqbridge, with functions that change nothing.
func ByHand[T any](s *redisd.Server, items, entries int) System[T] {
	return func(ctx context.Context, f Flow[T], use Use[T]) (err error) {
		packing, err := rows.Encoded[T](items, entries)
		if err != nil {
			return err
		}
		stages := slices.Repeat([]func(T) T{func(v T) T { return v }}, len(f.Stages))
		hand, err := rows.NewHand(ctx, s, packing, stages...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, hand.Close(), s.Flush(ctx)) }()
		in, out, end := hand.Channels(ctx)
		return errors.Join(use(in, func() (v T, err error) {
			v, more := <-out
			if !more {
				return v, io.EOF
			}
			return v, nil
		}, false), end())
	}
}

// Run runs a flow to its end and returns the time.
func (s System[T]) Run(ctx context.Context, f Flow[T]) (took time.Duration, err error) {
	return took, s(ctx, f, func(in chan<- T, next func() (T, error), ends bool) error {
		begin := time.Now()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go Feed(ctx, in, f.N, f.Item)
		for i := range f.N {
			v, err := next()
			if err == nil {
				err = f.Check(i, v)
			}
			if err != nil {
				return fmt.Errorf("item %d of %d: %w", i, f.N, err)
			}
		}
		if ends {
			if _, err := next(); !errors.Is(err, io.EOF) {
				return errors.Join(fmt.Errorf("more than %d results", f.N), err)
			}
		}
		took = time.Since(begin)
		return nil
	})
}

// Rate runs a flow to its end and returns the items a second.
func (s System[T]) Rate(ctx context.Context, f Flow[T]) (float64, error) {
	took, err := s.Run(ctx, f)
	return float64(f.N) / took.Seconds(), err
}

// Trips sends up to N single items within a limit, and returns their times, sorted.
func (s System[T]) Trips(ctx context.Context, f Flow[T], limit time.Duration) (took []time.Duration, err error) {
	f.Buffer = -1 // none
	return took, s(ctx, f, func(in chan<- T, next func() (T, error), _ bool) error {
		defer close(in)
		took, err = work.Trips(f.N, limit, func(i int) error {
			in <- f.Item(i)
			v, err := next()
			if err != nil {
				return err
			}
			return f.Check(i, v)
		})
		slices.Sort(took)
		return err
	})
}
