// Package lab runs measurements: it has the redis-server of a run and the results so far.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/role"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// Settings are the settings of a run.
type Settings struct {
	Runs  int
	Items int           // of a run of a fast row; 0: as many as fit in Long
	Long  time.Duration // approximate duration of a run
	Trips int           // single items of a run
}

// A Lab is the environment of all measurements of a run.
type Lab struct {
	Settings
	Server   *redisd.Server
	Progress io.Writer

	rates map[string]*Rate
	trips map[string][]time.Duration
}

// Open starts the redis-server.
func Open(ctx context.Context, s Settings, progress io.Writer) (*Lab, error) {
	server, err := redisd.Start(ctx)
	if err != nil {
		return nil, err
	}
	return &Lab{s, server, progress, map[string]*Rate{}, map[string][]time.Duration{}}, nil
}

// Say reports progress. It ignores write errors.
func (l *Lab) Say(format string, args ...any) { _, _ = fmt.Fprintf(l.Progress, format+"\n", args...) }

// A Rate is the results of a row's runs.
type Rate struct {
	Items   int // of a run
	Ordered bool
	Passes  []Pass
}

// A Pass is the result of one run. Counts are per item.
type Pass struct {
	PerSecond, Allocs, Commands, Scripts, CPU, RedisCPU float64
}

// Median returns the median of f over the passes.
func (r *Rate) Median(f func(Pass) float64) float64 { return Median(Each(r.Passes, f)) }

// PerSecond returns the median rate.
func (r *Rate) PerSecond() float64 { return r.Median(func(p Pass) float64 { return p.PerSecond }) }

const (
	// mostItems is the largest number of items of a run.
	mostItems = 10_000_000
	// stuck is the time limit of a run.
	stuck = 5 * time.Minute
)

// Rates measures the rows that are not measured yet, in turns.
func (l *Lab) Rates(ctx context.Context, list []rows.Row) error {
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
			l.Say("throughput, run %d of %d", i+1, l.Runs)
		}
		for _, r := range list {
			if err := l.pass(ctx, r, l.rates[r.Name]); err != nil {
				return fmt.Errorf("%s: %w", r.Title, err)
			}
		}
	}
	return nil
}

// Rate returns the result of Rates for a row, or nil.
func (l *Lab) Rate(name string) *Rate { return l.rates[name] }

// sized finds the number of items of a run. A short run underestimates the rate of a pipeline that
// takes time to start.
func (l *Lab) sized(ctx context.Context, r rows.Row) (*Rate, error) {
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

// with opens a pipe of a row, calls f, and closes everything.
func (l *Lab) with(ctx context.Context, r rows.Row, f func(work.Caller) error) (err error) {
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

func (l *Lab) pass(ctx context.Context, r rows.Row, rate *Rate) error {
	return l.with(ctx, r, func(pipe work.Caller) error {
		before, err := l.Server.Usage(ctx)
		if err != nil {
			return err
		}
		var start, end runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&start)
		cpu := role.CPU()
		done, err := pipe.Run(rate.Items)
		if err != nil {
			return err
		}
		cpu = role.CPU() - cpu
		runtime.ReadMemStats(&end)
		after, err := l.Server.Usage(ctx)
		if err != nil {
			return err
		}
		used, n := after.Sub(before), float64(rate.Items)
		rate.Ordered = rate.Ordered && done.Ordered
		rate.Passes = append(rate.Passes, Pass{
			PerSecond: n / done.Took.Seconds(), Allocs: float64(end.Mallocs-start.Mallocs) / n,
			Commands: used.Commands / n, Scripts: used.Scripts / n, CPU: cpu.Seconds() / n, RedisCPU: used.CPU / n,
		})
		return nil
	})
}

const (
	// tripLimit bounds the duration of single items, if each takes long.
	tripLimit = 3 * time.Second
	// tripTurns is the number of turns into which the single items of a run are divided, so that
	// the load of the machine affects all rows alike.
	tripTurns = 3
	// tripsBefore items are not counted: a new pipe has not measured costs yet.
	tripsBefore = 50
)

// Singles measures single items of the rows that are not measured yet, in turns.
func (l *Lab) Singles(ctx context.Context, list []rows.Row) error {
	list = slices.DeleteFunc(slices.Clone(list), func(r rows.Row) bool { return r.Bulk || l.trips[r.Name] != nil })
	turns := tripTurns * l.Runs
	for i := range turns {
		if len(list) > 0 {
			l.Say("one item at a time, turn %d of %d", i+1, turns)
		}
		for _, r := range list {
			if err := l.with(ctx, r, func(pipe work.Caller) error {
				limit := tripLimit / time.Duration(turns)
				_, err := work.Trips(pipe, tripsBefore, limit/4)
				if err == nil {
					var took []time.Duration
					took, err = work.Trips(pipe, max(1, l.Trips/tripTurns), limit)
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

// Trip returns a percentile of the times of Singles, in milliseconds.
func (l *Lab) Trip(name string, p int) float64 { return Percentile(l.trips[name], p) }

// TripsOf returns the number of single items that Singles has sent.
func (l *Lab) TripsOf(name string) int { return len(l.trips[name]) }
