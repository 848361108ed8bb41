package target

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/bench/internal/wide"
)

var (
	wideSmall = wide.Fleet{Workers: 10, Slots: 1, Stages: 10}
	wideLarge = wide.Fleet{Workers: 60, Slots: 1, Stages: 600}
	wideHot   = wide.Fleet{Workers: 300, Slots: 1, Stages: 1}
)

const wideHotItems = 30_000

func wideTargets() []Target {
	return []Target{
		{Name: "wide-idle", What: "share of a core of Redis, 60 workers beside 600 idle stages", Want: 0.05, Most: true, Unit: "cores", measure: wideIdle},
		{Name: "wide-item", What: "Redis time of one item there, against 10 workers beside 10 stages", Want: 1.5, Most: true, Unit: "x", measure: wideRatio(wide.Running.ItemCost)},
		{Name: "wide-flow", What: "Redis commands of a flow of one item beside 60 workers, against 20", Want: 1.5, Most: true, Unit: "x", measure: wideFlow},
		{Name: "wide-flows", What: "Redis time of a flow of one item, 16 flows at a time, beside 60 workers, against 20", Want: 1.5, Most: true, Unit: "x", measure: wideFlows},
		{Name: "wide-join", What: "Redis time of a worker that joins there, against 10 workers beside 10 stages", Want: 3, Most: true, Unit: "x", measure: wideRatio(wide.Running.JoinCost)},
		{Name: "wide-hot", What: "Redis time of an item of 10 ms in one flow over 300 workers", Want: 60, Most: true, Unit: "us", measure: wideHotFlow},
	}
}

// wideIdle measures the fleet at rest.
func wideIdle(ctx context.Context, r *run) (got float64, note string, err error) {
	err = wideLarge.With(ctx, r.Server, func(_ context.Context, fleet wide.Running) error {
		got = fleet.Share
		return nil
	})
	return got, fmt.Sprintf("%d workers, %d stages", wideLarge.Workers, wideLarge.Stages), err
}

// costIn is a cost in a fleet at rest.
func costIn(ctx context.Context, r *run, w wide.Fleet, of func(wide.Running, context.Context) (wide.Cost, error)) (cost wide.Cost, err error) {
	err = w.With(ctx, r.Server, func(ctx context.Context, fleet wide.Running) (err error) {
		cost, err = of(fleet, ctx)
		return err
	})
	return cost, err
}

// wideRatio is the time of Redis in the wide fleet divided by that in the small one, in turns.
func wideRatio(of func(wide.Running, context.Context) (wide.Cost, error)) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		in := func(w wide.Fleet) func() (float64, error) {
			return func() (float64, error) {
				cost, err := costIn(ctx, r, w, of)
				return 1e3 * cost.CPU, err
			}
		}
		medians, err := r.Turns(in(wideLarge), in(wideSmall))
		return medians[0] / medians[1], fmt.Sprintf("%.3f ms of Redis over %.3f", medians[0], medians[1]), err
	}
}

// wideFlow compares the commands of flows that are made, have one item and end.
func wideFlow(ctx context.Context, r *run) (float64, string, error) {
	many, err := costIn(ctx, r, wideLarge, wide.Running.FlowCost)
	if err != nil {
		return 0, "", err
	}
	third := wideLarge
	third.Workers /= 3
	few, err := costIn(ctx, r, third, wide.Running.FlowCost)
	note := fmt.Sprintf("%.0f commands beside %d workers, %.0f beside %d", many.Commands, wideLarge.Workers, few.Commands, third.Workers)
	return many.Commands / few.Commands, note, err
}

// wideFlows compares the time of Redis for flows that are made at the same time.
func wideFlows(ctx context.Context, r *run) (float64, string, error) {
	many, rate, err := flowsIn(ctx, r, wideLarge)
	if err != nil {
		return 0, "", err
	}
	third := wideLarge
	third.Workers /= 3
	few, fewRate, err := flowsIn(ctx, r, third)
	note := fmt.Sprintf("%.2f ms beside %d workers, %.0f flows/s; %.2f ms beside %d, %.0f flows/s",
		1e3*many.CPU, wideLarge.Workers, rate, 1e3*few.CPU, third.Workers, fewRate)
	return many.CPU / few.CPU, note, err
}

func flowsIn(ctx context.Context, r *run, w wide.Fleet) (cost wide.Cost, perSecond float64, err error) {
	err = w.With(ctx, r.Server, func(ctx context.Context, fleet wide.Running) (err error) {
		cost, perSecond, err = fleet.FlowsCost(ctx)
		return err
	})
	return cost, perSecond, err
}

// wideHotFlow measures one flow that keeps the fleet busy.
func wideHotFlow(ctx context.Context, r *run) (got float64, note string, err error) {
	err = wideHot.With(ctx, r.Server, func(ctx context.Context, fleet wide.Running) error {
		cost, rate, err := fleet.HotCost(ctx, wide.Sleep10, 1, wideHotItems)
		got, note = 1e6*cost.CPU, fmt.Sprintf("%.1f commands an item, %.0f items/s", cost.Commands, rate)
		return err
	})
	return got, note, err
}
