package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	backlog      = 10_000_000
	backlogBytes = 1 << 30 // bound of the queue, above the size of the backlog
	idleFlows    = 1000
	stageItems   = 300_000
	// besideItems are so many that the start of a flow takes little of the time.
	besideItems = 10_000_000
	// untilIdle is the time after which flows are idle: their workers and gathers look often before.
	untilIdle = 10 * time.Second
)

func scaleTargets() []Target {
	return []Target{
		{Name: "backlog", What: "rate with a backlog of 10,000,000, against from empty", Want: 0.9, Unit: "x", measure: behindBacklog},
		{Name: "idle-flows", What: "rate beside 1,000 idle flows, against alone", Want: 0.9, Unit: "x", measure: besideIdle},
		{Name: "stages", What: "time of 20 stages apart, against one", Want: 12, Most: true, Unit: "x", measure: manyStages(executor.NoFuse())},
		{Name: "stages-fused", What: "time of 20 stages fused, against one", Want: 3, Most: true, Unit: "x", measure: manyStages()},
		{Name: "large-peak", What: "peak of a process with items of 1 MiB", Want: 200, Most: true, Unit: "MB", measure: largeMemory},
	}
}

// peakTargets have the peaks of all targets before.
func peakTargets() []Target {
	return []Target{{Name: "memory", What: "peak of any process above", Want: 200, Most: true, Unit: "MB",
		measure: func(_ context.Context, r *run) (most float64, note string, err error) {
			if len(r.peaks) == 0 {
				return 0, "", errors.New("no process was measured: choose backlog or large-peak too")
			}
			for _, p := range r.peaks {
				most = max(most, p.bytes/1e6)
				note += fmt.Sprintf("\n  %s: %.0f MB", p.process, p.bytes/1e6)
			}
			return most, note, nil
		}}}
}

// processes runs a plan and records the peaks.
func (r *run) processes(ctx context.Context, what string, p process.Plan) (process.Outcome, error) {
	o, err := process.Run(ctx, p)
	if err == nil {
		r.peaks = append(r.peaks, peak{what + ", producer", o.Producer.Peak}, peak{what + ", worker", o.Worker.Peak},
			peak{what + ", consumer", o.Consumer.Peak}, peak{what + ", Redis", o.Peak})
	}
	return o, err
}

// behindBacklog compares with a start from empty, and with a small backlog, which has no producer
// beside it either. The worse ratio counts.
func behindBacklog(ctx context.Context, r *run) (float64, string, error) {
	plan := process.Plan{Job: process.Job{N: backlog, Concurrency: slots, Bytes: backlogBytes}, Workers: 1}
	empty, err := r.processes(ctx, "10,000,000 ints from empty", plan)
	if err != nil {
		return 0, "", err
	}
	plan.Backlog = true
	full, err := r.processes(ctx, "a backlog of 10,000,000 ints", plan)
	if err != nil {
		return 0, "", err
	}
	plan.N /= 10
	small, err := process.Run(ctx, plan)
	worse := min(full.PerSecond()/empty.PerSecond(), full.PerSecond()/small.PerSecond())
	return worse, fmt.Sprintf("in processes of their own: %s items/s with it, %s from empty, %s with a tenth of it",
		report.Thousands(full.PerSecond()), report.Thousands(empty.PerSecond()), report.Thousands(small.PerSecond())), err
}

// both is a flow of n ints through inc and double.
func both(n int) flow.Flow[int] { return flow.Numbers(n, work.Expected, rows.Inc, rows.Double) }

// openIdle opens n flows without items and waits until they are idle.
func openIdle(ctx context.Context, ex *executor.Executor, n int) error {
	for range n {
		if _, err := both(0).Open(ctx, ex, make(chan int)); err != nil {
			return err
		}
	}
	if n == 0 {
		return nil
	}
	return work.Pause(ctx, untilIdle)
}

// besideIdle opens the idle flows on a second Executor.
func besideIdle(ctx context.Context, r *run) (float64, string, error) {
	beside := func(idle int) func() (float64, error) {
		return func() (rate float64, err error) {
			err = r.Fresh(ctx, slots, []workers.Function{rows.Inc, rows.Double}, func(ctx context.Context, ex *executor.Executor) (err error) {
				other, err := executor.New(ctx, r.Server.URL())
				if err != nil {
					return err
				}
				defer func() { err = errors.Join(err, other.Close()) }()
				if err := openIdle(ctx, other, idle); err != nil {
					return err
				}
				rate, err = flow.On[int](ex).Rate(ctx, both(besideItems))
				return err
			})
			return rate, err
		}
	}
	medians, err := r.Turns(beside(0), beside(idleFlows))
	return medians[1] / medians[0], fmt.Sprintf("%.0f items/s over %.0f, two stages each, on one fleet", medians[1], medians[0]), err
}

func manyStages(opts ...executor.MapOption) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		through := func(stages int) func() (float64, error) {
			f := flow.Numbers(stageItems, func(i int) int { return i + stages }, slices.Repeat([]workers.Func[int, int]{rows.Inc}, stages)...)
			f.Opts = opts
			return func() (float64, error) { return took(ctx, r, slots, f) }
		}
		ratio, note, err := overSeconds(r.Turns(through(20), through(1)))
		return ratio, note + " for " + report.Thousands(stageItems) + " ints", err
	}
}

// largeMemory runs items of 1 MiB through separate processes.
func largeMemory(ctx context.Context, r *run) (float64, string, error) {
	o, err := r.processes(ctx, "items of 1 MiB", process.Plan{Job: process.Job{N: 1000, Size: large, Concurrency: slots}, Workers: 1})
	return o.Largest() / 1e6, fmt.Sprintf("%.0f MiB/s; producer %.0f MB, worker %.0f MB, consumer %.0f MB, Redis %.0f MB", o.PerSecond(),
		o.Producer.Peak/1e6, o.Worker.Peak/1e6, o.Consumer.Peak/1e6, o.Peak/1e6), err
}
