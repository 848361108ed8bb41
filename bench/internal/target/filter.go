package target

import (
	"context"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

func filterTargets() []Target {
	return []Target{{Name: "filter", What: "inputs/s of a filter of half behind inc, against double behind it", Want: 0.8, Unit: "x", measure: halfFiltered}}
}

// half keeps half of its items, in no order that a processor could predict.
var half = workers.DefineFilter("half", func(_ context.Context, x int) (bool, error) { return uint32(x)*2654435761>>31 == 0, nil })

// halfFiltered compares a filter with a function, each behind another function and fused with it.
func halfFiltered(ctx context.Context, r *run) (float64, string, error) {
	mapped := func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return executor.Map(ctx, rows.Double, q)
	}
	filtered := func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return flow.Filter(ctx, half, q)
	}
	ratio, note, err := overSeconds(r.Turns(r.behindInc(ctx, mapped), r.behindInc(ctx, filtered)))
	return ratio, note + " for " + report.Thousands(besideItems) + " ints", err
}

// behindInc returns a function that measures the seconds of a flow: ints through inc and a second stage.
func (r *run) behindInc(ctx context.Context, second func(context.Context, *executor.Queue[int]) (*executor.Queue[int], error)) func() (float64, error) {
	return func() (seconds float64, err error) {
		err = r.Fresh(ctx, slots, []workers.Function{rows.Inc, rows.Double, half}, func(ctx context.Context, ex *executor.Executor) error {
			in, begin := make(chan int, work.Capacity), time.Now()
			q, err := bridge.Scatter(ctx, ex, in)
			if err != nil {
				return err
			}
			if q, err = executor.Map(ctx, rows.Inc, q); err != nil {
				return err
			}
			if q, err = second(ctx, q); err != nil {
				return err
			}
			out, err := bridge.Gather(ctx, q)
			if err != nil {
				return err
			}
			go work.Feed(in, besideItems)
			n := 0
			for result := range out {
				if result.Err != nil {
					return result.Err
				}
				n++
			}
			if n < besideItems/3 {
				return fmt.Errorf("%d results of %d", n, besideItems)
			}
			seconds = time.Since(begin).Seconds()
			return nil
		})
		return seconds, err
	}
}
