package target

import (
	"context"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	// limitedRate is the number of calls a second of the limited stage.
	limitedRate = 1000
	// limitedItems are the items of a measurement: those of 10 s.
	limitedItems = 10_000
)

func limitTargets() []Target {
	return []Target{{Name: "rate-limit", What: "calls/s of a stage with RateLimit(1000, time.Second), against 1000", Want: 0.98, Unit: "x", measure: limitKept}}
}

// limitKept returns the rate of a stage with a limit as a part of the limit. A rate above the limit is an error.
func limitKept(ctx context.Context, r *run) (ratio float64, note string, err error) {
	err = r.Fresh(ctx, slots, []workers.Function{rows.Inc}, func(ctx context.Context, ex *executor.Executor) error {
		in := make(chan int, work.Capacity)
		q, err := bridge.Scatter(ctx, ex, in)
		if err != nil {
			return err
		}
		if q, err = executor.Map(ctx, rows.Inc, q, executor.RateLimit(limitedRate, time.Second)); err != nil {
			return err
		}
		out, err := bridge.Gather(ctx, q)
		if err != nil {
			return err
		}
		go work.Feed(in, limitedItems)
		n, begin, last := 0, time.Time{}, time.Time{}
		for result := range out {
			if result.Err != nil {
				return result.Err
			}
			if n++; n == 1 {
				begin = time.Now()
			}
			last = time.Now()
		}
		if n != limitedItems {
			return fmt.Errorf("%d results of %d", n, limitedItems)
		}
		ratio = float64(n-1) / last.Sub(begin).Seconds() / limitedRate
		return nil
	})
	if err == nil && ratio > 1.01 {
		err = fmt.Errorf("%.3f of the limit: more calls begin than it allows", ratio)
	}
	return ratio, fmt.Sprintf("%d calls; more than 1.01 is an error", limitedItems), err
}
