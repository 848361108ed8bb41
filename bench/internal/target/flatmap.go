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

func flatMapTargets() []Target {
	return []Target{{Name: "flatmap", What: "outputs/s of ten for each input, against a function of one", Want: 0.8, Unit: "x", measure: tenOutputs}}
}

// outputsEach is the number of outputs of ten for an input.
const outputsEach = 10

var ten = workers.DefineFlatMap("ten", func(_ context.Context, x int, yield func(int)) error {
	for i := range outputsEach {
		yield(x + i)
	}
	return nil
})

// tenOutputs compares a flat map with a function that makes as many outputs.
func tenOutputs(ctx context.Context, r *run) (float64, string, error) {
	mapped := func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return executor.Map(ctx, rows.Double, q)
	}
	flatMapped := func(ctx context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) {
		return flow.FlatMap(ctx, ten, q)
	}
	ratio, note, err := overSeconds(r.Turns(r.outputs(ctx, besideItems, mapped), r.outputs(ctx, besideItems/outputsEach, flatMapped)))
	return ratio, note + " for " + report.Thousands(besideItems) + " outputs", err
}

// outputs returns a function that measures the seconds of a flow of one stage with besideItems outputs.
func (r *run) outputs(ctx context.Context, inputs int, stage func(context.Context, *executor.Queue[int]) (*executor.Queue[int], error)) func() (float64, error) {
	return func() (seconds float64, err error) {
		err = r.Fresh(ctx, slots, []workers.Function{rows.Double, ten}, func(ctx context.Context, ex *executor.Executor) error {
			in, begin := make(chan int, work.Capacity), time.Now()
			q, err := bridge.Scatter(ctx, ex, in)
			if err != nil {
				return err
			}
			if q, err = stage(ctx, q); err != nil {
				return err
			}
			out, err := bridge.Gather(ctx, q)
			if err != nil {
				return err
			}
			go work.Feed(in, inputs)
			n := 0
			for result := range out {
				if result.Err != nil {
					return result.Err
				}
				n++
			}
			if n != besideItems {
				return fmt.Errorf("%d outputs of %d", n, besideItems)
			}
			seconds = time.Since(begin).Seconds()
			return nil
		})
		return seconds, err
	}
}
