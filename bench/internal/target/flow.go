package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A flow is a pipeline of dqbridge in this process, of any type.
type flow[T any] struct {
	n      int
	item   func(i int) T
	check  func(i int, v T) error
	stages []workers.Func[T, T]
	opts   []executor.MapOption
	in     chan T // nil: one of the usual capacity
}

// times is what a program sees of a flow.
type times struct {
	took    time.Duration
	results []time.Time // when each came, where they are wanted
}

// on runs the flow to its end.
func (f flow[T]) on(ctx context.Context, ex *executor.Executor, clock bool) (t times, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := f.in
	if in == nil {
		in = make(chan T, work.Capacity)
	}
	out, err := f.open(ctx, ex, in)
	if err != nil {
		return t, err
	}
	begin := time.Now()
	go func() {
		defer close(in)
		for i := range f.n {
			select {
			case in <- f.item(i):
			case <-ctx.Done():
				return
			}
		}
	}()
	i := 0
	for r := range out {
		if r.Err != nil {
			return t, fmt.Errorf("item %d: %w", i, r.Err)
		}
		if err := f.check(i, r.Value); err != nil {
			return t, err
		}
		if clock {
			t.results = append(t.results, time.Now())
		}
		i++
	}
	t.took = time.Since(begin)
	if i != f.n {
		return t, fmt.Errorf("%d results for %d items", i, f.n)
	}
	return t, nil
}

func (f flow[T]) open(ctx context.Context, ex *executor.Executor, in <-chan T) (<-chan bridge.Result[T], error) {
	q, err := bridge.Scatter(ctx, ex, in)
	if err != nil {
		return nil, err
	}
	for _, stage := range f.stages {
		if q, err = executor.Map(ctx, stage, q, f.opts...); err != nil {
			return nil, err
		}
	}
	return bridge.Gather(ctx, q)
}

// fresh runs f with an Executor of its own, whose hands are the fleet, and
// forgets what is left in Redis.
func (r *run) fresh(ctx context.Context, hands int, functions []workers.Function, f func(context.Context, *executor.Executor) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	ex, err := executor.New(ctx, r.Server.URL(), executor.Hands(hands))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close(), r.Server.Flush(ctx)) }()
	if err := ex.Register(functions...); err != nil {
		return err
	}
	return f(ctx, ex)
}

// same is a stage that changes nothing.
func same[T any](name string) workers.Func[T, T] {
	return workers.Define(name, func(_ context.Context, v T) (T, error) { return v, nil })
}

// hands is how many there are where it does not matter.
const hands = 4

// turns calls each of fs in turns and returns the median of each.
func (r *run) turns(fs ...func() (float64, error)) ([]float64, error) {
	got := make([][]float64, len(fs))
	for range r.Runs {
		for i, f := range fs {
			v, err := f()
			if err != nil {
				return nil, err
			}
			got[i] = append(got[i], v)
		}
	}
	medians := make([]float64, len(fs))
	for i, list := range got {
		medians[i] = median(list)
	}
	return medians, nil
}
