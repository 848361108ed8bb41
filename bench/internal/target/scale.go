package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/procs"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/text"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	hands     = 4 // if their number does not matter
	backlog   = 10_000_000
	backlogMB = 1 << 30 // bound of the waiting bytes, so that all items can wait
	idleFlows = 1000
	manyItems = 300_000
)

func scaleTargets() []Target {
	return []Target{
		{Name: "backlog", What: "rate with a backlog of 10,000,000, against from empty", Want: 0.9, Unit: "x", measure: behindBacklog},
		{Name: "idle-flows", What: "rate beside 1,000 idle flows, against alone", Want: 0.9, Unit: "x", measure: besideIdle},
		{Name: "stages", What: "time of 20 stages apart, against one", Want: 12, Most: true, Unit: "x",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				return manyStages(ctx, r, executor.NoFuse())
			}},
		{Name: "stages-fused", What: "time of 20 stages fused, against one", Want: 3, Most: true, Unit: "x",
			measure: func(ctx context.Context, r *run) (float64, string, error) { return manyStages(ctx, r) }},
		{Name: "large-peak", What: "peak of a process with items of 1 MiB", Want: 200, Most: true, Unit: "MB", measure: largeMemory},
	}
}

// peakTargets compare the peak memory of the processes of all measurements.
func peakTargets() []Target {
	return []Target{{Name: "memory", What: "peak of any process above", Want: 200, Most: true, Unit: "MB",
		measure: func(_ context.Context, r *run) (most float64, note string, err error) {
			if len(r.peaks) == 0 {
				return 0, "", errors.New("no process was measured: choose backlog or large-peak too")
			}
			for _, p := range r.peaks {
				most = max(most, p.bytes/1e6)
				note += fmt.Sprintf("\n  %s: %.0f MB", p.who, p.bytes/1e6)
			}
			return most, note, nil
		}}}
}

// processes runs a plan and records the memory.
func (r *run) processes(ctx context.Context, what string, p procs.Plan) (procs.Outcome, error) {
	o, err := procs.Run(ctx, p)
	if err != nil {
		return o, err
	}
	for _, p := range []peak{
		{"producer", o.Producer.Peak}, {"worker", o.Worker.Peak}, {"consumer", o.Consumer.Peak}, {"Redis", o.Peak},
	} {
		r.peaks = append(r.peaks, peak{what + ", " + p.who, p.bytes})
	}
	return o, nil
}

// behindBacklog compares with two other runs of the same number of items: one without a backlog,
// and one with a small backlog, which also has no running producer. The result is the worse ratio.
func behindBacklog(ctx context.Context, r *run) (float64, string, error) {
	plan := procs.Plan{Job: procs.Job{N: backlog, Concurrency: hands, Bytes: backlogMB}, Workers: 1}
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
	small, err := procs.Run(ctx, plan)
	if err != nil {
		return 0, "", err
	}
	worse := min(full.PerSecond()/empty.PerSecond(), full.PerSecond()/small.PerSecond())
	return worse, fmt.Sprintf("in processes of their own: %s items/s with it, %s from empty, %s with a tenth of it",
		text.Thousands(full.PerSecond()), text.Thousands(empty.PerSecond()), text.Thousands(small.PerSecond())), nil
}

const (
	// besideItems is large enough that the start of a flow is a small part of the time.
	besideItems = 10_000_000
	// untilIdle is the pause after opening many flows. In it, workers learn about the flows, and
	// gathers poll often.
	untilIdle = 10 * time.Second
)

// besideIdle keeps flows open that another Executor has made.
func besideIdle(ctx context.Context, r *run) (float64, string, error) {
	one := func(idle int) func() (float64, error) {
		return func() (rate float64, err error) {
			err = r.Fresh(ctx, hands, []workers.Function{rows.Inc, rows.Double}, func(ctx context.Context, ex *executor.Executor) error {
				return r.withIdle(ctx, idle, func() error {
					took, err := ints(besideItems, rows.Inc, rows.Double).On(ctx, ex, func() {})
					rate = besideItems / took.Seconds()
					return err
				})
			})
			return rate, err
		}
	}
	medians, err := r.Turns(one(0), one(idleFlows))
	if err != nil {
		return 0, "", err
	}
	return medians[1] / medians[0], fmt.Sprintf("%.0f items/s over %.0f, two stages each, on one fleet", medians[1], medians[0]), nil
}

func (r *run) withIdle(ctx context.Context, n int, f func() error) (err error) {
	ex, err := executor.New(ctx, r.Server.URL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	for range n {
		if _, err := ints(0, rows.Inc, rows.Double).Open(ctx, ex, make(chan int)); err != nil {
			return err
		}
	}
	if n > 0 {
		if err := flow.Pause(ctx, untilIdle); err != nil {
			return err
		}
	}
	return f()
}

// ints is a flow through inc and double, or through other stages.
func ints(n int, stages ...workers.Func[int, int]) flow.Flow[int] {
	return flow.Flow[int]{
		N: n, Item: flow.Number, Stages: stages,
		Check: func(i, v int) error {
			want := work.Expected(i)
			if stages[len(stages)-1].Name() == rows.Inc.Name() {
				want = i + len(stages)
			}
			if v != want {
				return fmt.Errorf("result %d is %d and not %d", i, v, want)
			}
			return nil
		},
	}
}

func manyStages(ctx context.Context, r *run, opts ...executor.MapOption) (float64, string, error) {
	const many = 20
	run := func(stages int) func() (float64, error) {
		return func() (took float64, err error) {
			err = r.Fresh(ctx, hands, []workers.Function{rows.Inc}, func(ctx context.Context, ex *executor.Executor) error {
				f := ints(manyItems, slices.Repeat([]workers.Func[int, int]{rows.Inc}, stages)...)
				f.Opts = opts
				d, err := f.On(ctx, ex, func() {})
				took = d.Seconds()
				return err
			})
			return took, err
		}
	}
	medians, err := r.Turns(run(1), run(many))
	if err != nil {
		return 0, "", err
	}
	return medians[1] / medians[0], fmt.Sprintf("%.2f s over %.2f s for %s ints", medians[1], medians[0], text.Thousands(manyItems)), nil
}

// largeMemory runs items of 1 MiB through separate processes.
func largeMemory(ctx context.Context, r *run) (float64, string, error) {
	o, err := r.processes(ctx, "items of 1 MiB", procs.Plan{Job: procs.Job{N: 1000, Size: large, Concurrency: hands}, Workers: 1})
	return o.Largest() / 1e6, fmt.Sprintf("%.0f MiB/s; producer %.0f MB, worker %.0f MB, consumer %.0f MB, Redis %.0f MB", o.PerSecond(),
		o.Producer.Peak/1e6, o.Worker.Peak/1e6, o.Consumer.Peak/1e6, o.Peak/1e6), err
}
