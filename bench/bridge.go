package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

var (
	inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	sleep  = workers.Define("sleep", func(ctx context.Context, x int) (int, error) {
		timer := time.NewTimer(time.Second)
		defer timer.Stop()
		select {
		case <-timer.C:
			return x, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	})
)

// connect makes an Executor whose own hands are the fleet; "" is embedded.
func connect(ctx context.Context, url string, opts ...executor.Option) (*executor.Executor, error) {
	ex, err := executor.New(ctx, url, opts...)
	if err != nil {
		return nil, err
	}
	if err := ex.Register(inc, double, sleep); err != nil {
		return nil, errors.Join(err, ex.Close())
	}
	return ex, nil
}

// open makes a pipeline of stages, one after the other.
func open(
	ctx context.Context, ex *executor.Executor, in <-chan int, stages ...workers.Func[int, int],
) (<-chan bridge.Result[int], error) {
	q, err := bridge.Scatter(ctx, ex, in)
	if err != nil {
		return nil, err
	}
	for _, f := range stages {
		if q, err = executor.Map(ctx, f, q); err != nil {
			return nil, err
		}
	}
	return bridge.Gather(ctx, q)
}

// pipeline moves n ints from a channel through two stages to a channel.
func pipeline(ctx context.Context, ex *executor.Executor, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan int, capacity)
	out, err := open(ctx, ex, in, inc, double)
	if err != nil {
		return err
	}
	go feed(in, n)
	i := 0
	for r := range out {
		if r.Err != nil {
			return fmt.Errorf("item %d: %w", i, r.Err)
		}
		if err := check(i, r.Value); err != nil {
			return err
		}
		i++
	}
	if i != n {
		return fmt.Errorf("%d results for %d items", i, n)
	}
	return nil
}

// slice is how many ints a program sends at once by the slice.
const slice = 1024

// sliced is pipeline by the slice.
func sliced(ctx context.Context, ex *executor.Executor, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan []int, 4)
	q, err := bridge.ScatterSlices(ctx, ex, in)
	if err != nil {
		return err
	}
	for _, f := range []workers.Func[int, int]{inc, double} {
		if q, err = executor.Map(ctx, f, q); err != nil {
			return err
		}
	}
	out, err := bridge.GatherSlices(ctx, q)
	if err != nil {
		return err
	}
	go func() {
		defer close(in)
		for from := 0; from < n; from += slice {
			s := make([]int, min(slice, n-from))
			for i := range s {
				s[i] = from + i
			}
			in <- s
		}
	}()
	i := 0
	for results := range out {
		for _, r := range results {
			if r.Err != nil {
				return fmt.Errorf("item %d: %w", i, r.Err)
			}
			if err := check(i, r.Value); err != nil {
				return err
			}
			i++
		}
	}
	if i != n {
		return fmt.Errorf("%d results for %d items", i, n)
	}
	return nil
}

// singles sends n ints through two stages, each when the one before has come
// out, and tells how long each took.
func singles(ctx context.Context, ex *executor.Executor, n int) ([]time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan int)
	out, err := open(ctx, ex, in, inc, double)
	if err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, n)
	for i := range n {
		begin := time.Now()
		in <- i
		r := <-out
		took = append(took, time.Since(begin))
		if r.Err != nil {
			return nil, fmt.Errorf("item %d: %w", i, r.Err)
		}
		if err := check(i, r.Value); err != nil {
			return nil, err
		}
	}
	close(in)
	if r, more := <-out; more {
		return nil, fmt.Errorf("a result too many: %+v", r)
	}
	return took, nil
}

// sleeping sends as many items of a second as there are hands.
func sleeping(ctx context.Context, ex *executor.Executor, hands int) error {
	in := make(chan int)
	out, err := open(ctx, ex, in, sleep)
	if err != nil {
		return err
	}
	go feed(in, hands)
	i := 0
	for r := range out {
		if r.Err != nil {
			return fmt.Errorf("item %d: %w", i, r.Err)
		}
		if r.Value != i {
			return fmt.Errorf("result %d is %d", i, r.Value)
		}
		i++
	}
	if i != hands {
		return fmt.Errorf("%d results for %d items", i, hands)
	}
	return nil
}
