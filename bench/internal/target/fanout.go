package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	operators "github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	// fanned is the number of outputs of fan for an input.
	fanned     = 10_000
	fanWorkers = 4
	fanSlots   = 8
)

func fanOutTargets() []Target {
	return []Target{{Name: "fan-out", What: "10,000 outputs of one input through 1 ms on 4 workers of 8 slots, of the ideal", Want: 0.9, Unit: "x", measure: fannedOut}}
}

var fan = workers.DefineFlatMap("fan", func(_ context.Context, _ int, yield func(int)) error {
	for i := range fanned {
		yield(i)
	}
	return nil
})

// held keeps a thread for a millisecond, for the reason of milliseconds.
var held = workers.Define("held", func(_ context.Context, i int) (int, error) { return i, flow.Hold(time.Millisecond) })

// fannedOut compares the time of one input, whose outputs the fleet shares, with that of slots that never wait.
func fannedOut(ctx context.Context, r *run) (float64, string, error) {
	const ideal = fanned * 1e-3 / (fanWorkers * fanSlots)
	medians, err := r.Turns(
		func() (float64, error) { return fanSeconds(ctx, r) },
		func() (float64, error) {
			return plain(ctx, fanWorkers*fanSlots, fanned, func(context.Context, int) error { return flow.Hold(time.Millisecond) }), nil
		},
	)
	return ideal / medians[0], fmt.Sprintf("%.3f s; ideal %.3f s, goroutines and a channel %.3f s", medians[0], ideal, medians[1]), err
}

// fanSeconds runs one input on a new fleet and returns the time until the last result.
func fanSeconds(ctx context.Context, r *run) (seconds float64, err error) {
	err = r.Fresh(ctx, slots, nil, func(ctx context.Context, ex *executor.Executor) (err error) {
		ctx, stop := context.WithCancel(ctx)
		var fleet errgroup.Group
		defer func() {
			stop()
			err = errors.Join(err, fleet.Wait())
		}()
		for range fanWorkers {
			w, err := workers.New(r.Server.URL(), workers.Concurrency(fanSlots), workers.Functions(fan, held))
			if err != nil {
				return err
			}
			fleet.Go(func() error { return w.Run(ctx) })
			<-w.Ready()
		}
		begin := time.Now()
		err = fanThrough(ctx, ex)
		seconds = time.Since(begin).Seconds()
		return err
	})
	return seconds, err
}

// fanThrough sends one input through fan and held and compares the results.
func fanThrough(ctx context.Context, ex *executor.Executor) error {
	q, err := bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) { yield(0) })
	if err != nil {
		return err
	}
	if q, err = operators.FlatMap(ctx, fan, q); err != nil {
		return err
	}
	if q, err = executor.Map(ctx, held, q); err != nil {
		return err
	}
	n := 0
	for i, err := range bridge.All(ctx, q) {
		if err != nil {
			return err
		}
		if i != n {
			return fmt.Errorf("result %d is %d", n, i)
		}
		n++
	}
	if n != fanned {
		return fmt.Errorf("%d results of %d", n, fanned)
	}
	return nil
}
