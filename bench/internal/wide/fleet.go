// Package wide measures what a fleet costs Redis: workers as goroutines of this process, beside stages without
// items.
package wide

import (
	"context"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A Fleet is the numbers of its workers, of the slots of each, and of the named stages without items.
type Fleet struct{ Workers, Slots, Stages int }

// Rest is the time after which workers without work are at rest, and the time of a look at them.
const Rest = 10 * time.Second

// Inc is the function of all stages.
var Inc = workers.Define("wide", func(_ context.Context, i int) (int, error) { return i + 1, nil })

// Sleep10 and Sleep100 are functions of so many milliseconds that need no processor.
var (
	Sleep10  = sleep("sleep10", 10*time.Millisecond)
	Sleep100 = sleep("sleep100", 100*time.Millisecond)
)

func sleep(name string, d time.Duration) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, i int) (int, error) { return i + 1, work.Pause(ctx, d) })
}

// A Running is a fleet at rest.
type Running struct {
	Fleet
	Server   *redisd.Server
	Executor *executor.Executor
	Share    float64 // part of a core of Redis, at rest
	Commands float64 // of Redis in a second, at rest
}

// With calls f when all workers of the fleet are at rest, and deletes all data in Redis afterwards.
func (w Fleet) With(ctx context.Context, s *redisd.Server, f func(ctx context.Context, r Running) error) (err error) {
	ex, err := executor.New(ctx, s.URL())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var fleet errgroup.Group
	defer func() {
		stop()
		err = errors.Join(err, fleet.Wait(), ex.Close(), s.Flush(context.WithoutCancel(ctx)))
	}()
	for range w.Workers {
		if err := w.join(ctx, s, &fleet); err != nil {
			return err
		}
	}
	for i := range w.Stages {
		if err := stage(ctx, ex, "wide"+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	if err := work.Pause(ctx, Rest); err != nil {
		return err
	}
	idle, err := s.Used(ctx, func() error { return work.Pause(ctx, Rest) })
	if err != nil {
		return err
	}
	idle = idle.Over(Rest.Seconds())
	return f(ctx, Running{w, s, ex, idle.CPU, idle.Commands})
}

// join adds a worker, until ctx ends, and waits until it has joined.
func (w Fleet) join(ctx context.Context, s *redisd.Server, fleet *errgroup.Group) error {
	one, err := workers.New(s.URL(), workers.Concurrency(w.Slots), workers.Functions(Inc, Sleep10, Sleep100))
	if err != nil {
		return err
	}
	fleet.Go(func() error { return one.Run(ctx) })
	select {
	case <-one.Ready():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stage makes a named stage that has had its only source.
func stage(ctx context.Context, ex *executor.Executor, name string) error {
	none := make(chan int)
	close(none)
	q, err := bridge.Scatter(ctx, ex, none, bridge.Name(name))
	if err != nil {
		return err
	}
	_, err = executor.Map(ctx, Inc, q)
	return err
}
