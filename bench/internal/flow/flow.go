// Package flow has pipelines of any type and cost, with dqbridge and written by hand.
package flow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A Flow is a pipeline in this process.
type Flow[T any] struct {
	N      int
	Item   func(i int) T
	Check  func(i int, v T) error
	Stages []workers.Func[T, T]
	Opts   []executor.MapOption
	Ahead  int // capacity of its input channel; 0: the default
}

// On runs the flow with dqbridge to its end. It calls came for each result.
func (f Flow[T]) On(ctx context.Context, ex *executor.Executor, came func()) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := f.channel()
	out, err := f.Open(ctx, ex, in)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	go f.feed(ctx, in)
	i := 0
	for r := range out {
		if r.Err != nil {
			return 0, fmt.Errorf("item %d: %w", i, r.Err)
		}
		if err := f.Check(i, r.Value); err != nil {
			return 0, err
		}
		came()
		i++
	}
	took := time.Since(begin)
	if i != f.N {
		return 0, fmt.Errorf("%d results for %d items", i, f.N)
	}
	return took, nil
}

func (f Flow[T]) channel() chan T { return make(chan T, cmp.Or(f.Ahead, work.Capacity)) }

func (f Flow[T]) feed(ctx context.Context, in chan<- T) {
	defer close(in)
	for i := range f.N {
		select {
		case in <- f.Item(i):
		case <-ctx.Done():
			return
		}
	}
}

// Trips sends one item at a time with dqbridge.
func (f Flow[T]) Trips(ctx context.Context, ex *executor.Executor, limit time.Duration) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan T)
	out, err := f.Open(ctx, ex, in)
	if err != nil {
		return nil, err
	}
	return trips(f, in, func() (v T, err error) {
		r, more := <-out
		if !more {
			return v, errors.New("the results ended before their time")
		}
		return r.Value, r.Err
	}, limit)
}

// trips returns the sorted times of single items.
func trips[T any](f Flow[T], in chan<- T, next func() (T, error), limit time.Duration) (took []time.Duration, err error) {
	for start := time.Now(); len(took) < f.N && (len(took) == 0 || time.Since(start) < limit); {
		i := len(took)
		item := f.Item(i)
		begin := time.Now()
		in <- item
		v, err := next()
		took = append(took, time.Since(begin))
		if err == nil {
			err = f.Check(i, v)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// Open makes the pipeline with dqbridge.
func (f Flow[T]) Open(ctx context.Context, ex *executor.Executor, in <-chan T) (<-chan bridge.Result[T], error) {
	q, err := bridge.Scatter(ctx, ex, in)
	if err != nil {
		return nil, err
	}
	for _, stage := range f.Stages {
		if q, err = executor.Map(ctx, stage, q, f.Opts...); err != nil {
			return nil, err
		}
	}
	return bridge.Gather(ctx, q)
}
