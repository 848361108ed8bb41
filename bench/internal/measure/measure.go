// Package measure is the runner: it measures rows and functions in turns on one redis-server.
package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// Settings are those of all measurements.
type Settings struct {
	Runs  int
	Items int           // of a run of a fast row; 0: the number that fits into Long
	Long  time.Duration // approximate length of a run
	Trips int           // single items of a run
}

// A Runner has the redis-server and the results so far.
type Runner struct {
	Settings
	Server   *redisd.Server
	Progress io.Writer

	rates map[string]*Rate
	trips map[string][]time.Duration
}

// stuck is the limit of one run.
const stuck = 5 * time.Minute

// Open starts the redis-server.
func Open(ctx context.Context, s Settings, progress io.Writer) (*Runner, error) {
	server, err := redisd.Start(ctx)
	if err != nil {
		return nil, err
	}
	return &Runner{s, server, progress, map[string]*Rate{}, map[string][]time.Duration{}}, nil
}

// Logf prints progress.
func (l *Runner) Logf(format string, args ...any) {
	_, _ = fmt.Fprintf(l.Progress, format+"\n", args...)
}

// Fresh calls f with a new Executor that has slots for the functions, and then deletes all data in
// Redis.
func (l *Runner) Fresh(ctx context.Context, slots int, functions []workers.Function, f func(context.Context, *executor.Executor) error) (err error) {
	bound, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	ex, err := executor.New(bound, l.Server.URL(), executor.Concurrency(slots))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close(), l.Server.Flush(ctx)) }()
	if err := ex.Register(functions...); err != nil {
		return err
	}
	return f(bound, ex)
}

// Dqbridge runs each flow on a new Executor with slots.
func Dqbridge[T any](l *Runner, slots int) flow.System[T] {
	return func(ctx context.Context, f flow.Flow[T], use flow.Use[T]) error {
		return l.Fresh(ctx, slots, f.Functions(), func(ctx context.Context, ex *executor.Executor) error {
			return flow.On[T](ex)(ctx, f, use)
		})
	}
}

// Turns calls fs in turns and returns the median of each. With an error all medians are 0.
func (l *Runner) Turns(fs ...func() (float64, error)) ([]float64, error) {
	got, medians := make([][]float64, len(fs)), make([]float64, len(fs))
	for range l.Runs {
		for i, f := range fs {
			v, err := f()
			if err != nil {
				return medians, err
			}
			got[i] = append(got[i], v)
		}
	}
	for i, list := range got {
		medians[i] = Median(list)
	}
	return medians, nil
}

// with opens a pipe of a row, calls f and closes the row.
func (l *Runner) with(ctx context.Context, r rows.Row, f func(work.Caller) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	fleet, err := r.Open(ctx, l.Server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close(), l.Server.Flush(ctx)) }()
	pipe, err := fleet.Pipe(ctx)
	if err != nil {
		return err
	}
	return f(pipe)
}

// Median is the middle of the sorted list, or the mean of the two in the middle.
func Median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// MedianOf is the median of f of each element.
func MedianOf[T any](list []T, f func(T) float64) float64 {
	values := make([]float64, len(list))
	for i, v := range list {
		values[i] = f(v)
	}
	return Median(values)
}

// Percentile is in milliseconds; the list is sorted.
func Percentile(list []time.Duration, p int) float64 {
	return float64(list[min(len(list)*p/100, len(list)-1)]) / float64(time.Millisecond)
}
