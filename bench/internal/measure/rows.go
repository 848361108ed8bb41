package measure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// A Rate has the runs of a row.
type Rate struct {
	Items   int // of a run
	Ordered bool
	Passes  []Pass
}

// A Pass is one run; all fields except PerSecond are for one item.
type Pass struct {
	PerSecond, Allocs, Commands, Scripts, CPU, RedisCPU float64
}

// Median is the median of f of each pass.
func (r *Rate) Median(f func(Pass) float64) float64 { return MedianOf(r.Passes, f) }

// PerSecond is the median rate.
func (r *Rate) PerSecond() float64 { return r.Median(func(p Pass) float64 { return p.PerSecond }) }

const (
	// mostItems bounds a run of the fastest rows.
	mostItems = 10_000_000
	// idleTime is the length of the measurement of an idle row.
	idleTime = 5 * time.Second
	// tripLimit bounds the time of all single items of a row.
	tripLimit = 3 * time.Second
	// tripTurns divides the single items of a run, so that disturbances meet all rows alike.
	tripTurns = 3
	// tripsBefore are not counted: a new pipe has not yet measured any costs.
	tripsBefore = 50
)

// Rates measures the throughput of rows in turns. It skips rows that have a rate.
func (l *Runner) Rates(ctx context.Context, list []rows.Row) error {
	list = slices.DeleteFunc(slices.Clone(list), func(r rows.Row) bool { return l.rates[r.Name] != nil })
	for _, r := range list {
		rate, err := l.sized(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.Title, err)
		}
		l.rates[r.Name] = rate
	}
	for i := range l.Runs {
		if len(list) > 0 {
			l.Logf("throughput, run %d of %d", i+1, l.Runs)
		}
		for _, r := range list {
			if err := l.pass(ctx, r, l.rates[r.Name]); err != nil {
				return fmt.Errorf("%s: %w", r.Title, err)
			}
		}
	}
	return nil
}

// Rate is the result of Rates, or nil.
func (l *Runner) Rate(name string) *Rate { return l.rates[name] }

// sized finds the number of items of a run. It repeats with longer runs, because a short run has a
// lower rate.
func (l *Runner) sized(ctx context.Context, r rows.Row) (*Rate, error) {
	items := r.First
	for {
		first := &Rate{Items: items}
		if err := l.pass(ctx, r, first); err != nil {
			return nil, err
		}
		next := int(first.PerSecond() * l.Long.Seconds())
		if l.Items > 0 && (next > l.Items || r.First >= l.Items/10) {
			next = l.Items
		}
		next = min(max(next, 100), mostItems)
		if next < 2*items {
			return &Rate{Items: next, Ordered: true}, nil
		}
		items = next
	}
}

func (l *Runner) pass(ctx context.Context, r rows.Row, rate *Rate) error {
	return l.with(ctx, r, func(pipe work.Caller) error {
		var start, end runtime.MemStats
		var done work.Done
		var cpu time.Duration
		used, err := l.Server.Used(ctx, func() (err error) {
			runtime.GC()
			runtime.ReadMemStats(&start)
			cpu = process.CPU()
			done, err = pipe.Run(rate.Items)
			cpu = process.CPU() - cpu
			runtime.ReadMemStats(&end)
			return err
		})
		if err != nil {
			return err
		}
		n := float64(rate.Items)
		used = used.Over(n)
		rate.Ordered = rate.Ordered && done.Ordered
		rate.Passes = append(rate.Passes, Pass{
			PerSecond: n / done.Took.Seconds(), Allocs: float64(end.Mallocs-start.Mallocs) / n,
			Commands: used.Commands, Scripts: used.Scripts, CPU: cpu.Seconds() / n, RedisCPU: used.CPU,
		})
		return nil
	})
}

// Singles measures one item at a time, in turns. It skips rows that have been measured and rows of
// slices.
func (l *Runner) Singles(ctx context.Context, list []rows.Row) error {
	list = slices.DeleteFunc(slices.Clone(list), func(r rows.Row) bool { return r.Bulk || l.trips[r.Name] != nil })
	turns := tripTurns * l.Runs
	limit := tripLimit / time.Duration(turns)
	for i := range turns {
		if len(list) > 0 {
			l.Logf("one item at a time, turn %d of %d", i+1, turns)
		}
		for _, r := range list {
			if err := l.with(ctx, r, func(pipe work.Caller) error {
				_, err := work.Trips(tripsBefore, limit/4, pipe.Trip)
				if err == nil {
					var took []time.Duration
					took, err = work.Trips(max(1, l.Trips/tripTurns), limit, pipe.Trip)
					l.trips[r.Name] = append(l.trips[r.Name], took...)
				}
				return errors.Join(err, pipe.End())
			}); err != nil {
				return fmt.Errorf("%s, one at a time: %w", r.Title, err)
			}
		}
	}
	for _, r := range list {
		slices.Sort(l.trips[r.Name])
	}
	return nil
}

// Trip is a percentile of the times of Singles, in milliseconds.
func (l *Runner) Trip(name string, p int) float64 { return Percentile(l.trips[name], p) }

// TripsOf is the number of single items of a row.
func (l *Runner) TripsOf(name string) int { return len(l.trips[name]) }

// Idle is the cost of an open pipeline without items, in a second.
type Idle struct {
	Commands, CPU, RedisCPU float64
}

// Idle measures an open pipeline after one item.
func (l *Runner) Idle(ctx context.Context, r rows.Row) (i Idle, err error) {
	l.Logf("idle: %s", r.Title)
	return i, l.with(ctx, r, func(pipe work.Caller) error {
		if !r.Bulk {
			if err := pipe.Trip(0); err != nil {
				return err
			}
		}
		used, err := l.Server.Used(ctx, func() (err error) {
			cpu := process.CPU()
			i.Commands, err = l.Server.Sent(ctx, idleTime)
			i.CPU = (process.CPU() - cpu).Seconds()
			return err
		})
		if err != nil {
			return err
		}
		seconds := idleTime.Seconds()
		i = Idle{i.Commands / seconds, i.CPU / seconds, used.CPU / seconds}
		return pipe.End()
	})
}

// Queued is the memory of a queued int in bytes, without workers.
func (l *Runner) Queued(ctx context.Context, r rows.Row) (bytes float64, err error) {
	n := max(r.First, 5000)
	l.Logf("%d ints queued: %s", n, r.Title)
	before, err := l.Server.Memory(ctx)
	if err != nil {
		return 0, err
	}
	b, err := r.Backlog(ctx, l.Server, n)
	if b.Release != nil {
		defer func() { err = errors.Join(err, b.Release(), l.Server.Flush(ctx)) }()
	}
	if err != nil {
		return 0, err
	}
	if b.Bytes > 0 {
		return b.Bytes / float64(n), nil
	}
	after, err := l.Server.Memory(ctx)
	return (after - before) / float64(n), err
}
