package curve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/procs"
	"github.com/dqbridge/dqbridge/executor"
)

// byWorkers measures a function that sleeps, on the slots of one process and on processes of one
// slot each.
func byWorkers(ctx context.Context, l *lab.Lab) ([]Chart, error) {
	var rate, single lines
	for _, workers := range []int{1, 2, 5, 10, 20, 50, 100} {
		l.Say("  %d workers", workers)
		x, each := float64(workers), int(time.Second/procs.SlowFor)
		f := numbers(2*each*workers, procs.Slow)
		if err := apart(ctx, l, workers, func(ex *executor.Executor) error {
			return point(ctx, l, ex, f, "processes of one slot", x, &rate, &single)
		}); err != nil {
			return nil, err
		}
		if err := l.Fresh(ctx, workers, registered(f), func(ctx context.Context, ex *executor.Executor) error {
			return point(ctx, l, ex, f, "slots of one process", x, &rate, &single)
		}); err != nil {
			return nil, err
		}
		rate.computed("slots and nothing else", x, x*float64(each))
		single.computed("the function alone", x, float64(procs.SlowFor)/float64(time.Millisecond))
	}
	x := Axis{"workers", func(v float64) string { return fmt.Sprint(v) }}
	return []Chart{
		{"workers-rate.svg", "Items a second by the number of workers, 10 ms an item", x, perSecond, rate.series},
		{"workers-latency.svg", "One item at a time by the number of workers, 10 ms an item", x, latency, single.series},
	}, nil
}

// apart runs f with an Executor without slots, and with workers as processes.
func apart(ctx context.Context, l *lab.Lab, workers int, f func(*executor.Executor) error) error {
	return procs.With(ctx, procs.Job{URL: l.Server.URL(), Concurrency: 1}, workers, func() error {
		ex, err := executor.New(ctx, l.Server.URL())
		if err != nil {
			return err
		}
		return errors.Join(f(ex), ex.Close())
	})
}

func point(ctx context.Context, l *lab.Lab, ex *executor.Executor, f flow.Flow[int], name string, x float64, rate, single *lines) error {
	medians, err := l.Turns(func() (float64, error) {
		took, err := f.On(ctx, ex, func() {})
		return float64(f.N) / took.Seconds(), err
	})
	if err != nil {
		return err
	}
	rate.add(name, x, medians[0])
	took, err := f.Trips(ctx, ex, tripLimit)
	if err != nil {
		return err
	}
	p50, _ := middle(took)
	single.add(name+", p50", x, p50)
	return nil
}
