// Package lab measures: it has the redis-server of a run, and what was measured
// on it already.
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

// Settings are those of a run.
type Settings struct {
	Runs  int
	Items int           // of a run of a fast row; 0: as many as fit in Long
	Long  time.Duration // about how long a run is
	Trips int           // single items of a run
}

// A Lab is where everything of one run is measured.
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

// Say tells what is being done, where nobody minds if it cannot.
func (l *Lab) Say(format string, args ...any) { _, _ = fmt.Fprintf(l.Progress, format+"\n", args...) }

// A Rate is what the runs of a row gave.
type Rate struct {
	Items   int // of a run
	Ordered bool
	Passes  []Pass
}

// A Pass is one run; what counts items is for one item.
type Pass struct {
	PerSecond, Allocs, Commands, Scripts, CPU, RedisCPU float64
}

// Median of what f takes of each pass.
func (r *Rate) Median(f func(Pass) float64) float64 { return Median(Each(r.Passes, f)) }

// PerSecond is the median rate.
func (r *Rate) PerSecond() float64 { return r.Median(func(p Pass) float64 { return p.PerSecond }) }

const (
	// mostItems bounds a run of the fastest rows.
	mostItems = 10_000_000
	// stuck is when a run has failed.
	stuck = 5 * time.Minute
)

// Rates measures rows in turns, those that are not measured yet.
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

// Rate is what Rates has measured, or nil.
func (l *Lab) Rate(name string) *Rate { return l.rates[name] }

// sized finds how many items a run has: what a short one tells of the rate is too
// little where a pipeline has to get going first.
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

// with opens a pipe of a row, and closes all behind f.
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
	// tripLimit is how long single items are sent, where each takes long.
	tripLimit = 3 * time.Second
	// tripTurns is into how many turns those of a run are divided: what the machine
	// does beside it should meet all rows alike.
	tripTurns = 3
	// tripsBefore are not counted: a pipe that was just opened knows no costs yet.
	tripsBefore = 50
)

// Singles measures one item at a time, in turns, of the rows that have not been
// measured so.
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

// Trip is a percentile of what Singles has measured, in milliseconds.
func (l *Lab) Trip(name string, p int) float64 { return Percentile(l.trips[name], p) }

// Trips is how many single items Singles has sent.
func (l *Lab) TripsOf(name string) int { return len(l.trips[name]) }
