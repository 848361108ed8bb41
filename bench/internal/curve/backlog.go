package curve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// byBacklog measures ints that wait before a worker starts.
func byBacklog(ctx context.Context, l *lab.Lab) ([]Chart, error) {
	var rate, single lines
	for n := 10_000; n <= 10_000_000; n *= 10 {
		l.Say("  %d wait", n)
		var took []time.Duration
		medians, err := l.Turns(func() (perSecond float64, err error) {
			err = l.Fresh(ctx, hands, []workers.Function{rows.Inc, rows.Double}, func(ctx context.Context, ex *executor.Executor) error {
				q, err := wait(ctx, ex, n)
				if err != nil {
					return err
				}
				beside, err := besides(ctx, ex)
				if err != nil {
					return err
				}
				took = append(took, beside...)
				perSecond, err = drain(ctx, q, n)
				return err
			})
			return perSecond, err
		})
		if err != nil {
			return nil, err
		}
		rate.add("dqbridge", float64(n), medians[0])
		p50, p99 := middle(took)
		single.add("p50", float64(n), p50)
		single.add("p99", float64(n), p99)
	}
	x := Axis{"ints that wait", number}
	return []Chart{
		{"backlog-rate.svg", "Ints a second by how many wait, two stages", x, perSecond, rate.series},
		{"backlog-latency.svg", "One int at a time beside a queue where many wait", x, latency, single.series},
	}, nil
}

// wait stores n ints.
func wait(ctx context.Context, ex *executor.Executor, n int) (*executor.Queue[int], error) {
	in := make(chan int, work.Capacity)
	q, err := bridge.Scatter(ctx, ex, in, bridge.MaxBytes(1<<30))
	if err != nil {
		return nil, err
	}
	work.Feed(in, n)
	return q, ex.Flush(ctx)
}

// besides sends single items through another flow.
func besides(ctx context.Context, ex *executor.Executor) ([]time.Duration, error) {
	f := numbers(trips, rows.Inc, rows.Double)
	f.Check = func(i, v int) error {
		if v != work.Expected(i) {
			return fmt.Errorf("result %d is %d", i, v)
		}
		return nil
	}
	return f.Trips(ctx, ex, tripLimit)
}

// drain maps and gathers the items and returns the rate.
func drain(ctx context.Context, q *executor.Queue[int], n int) (float64, error) {
	begin, t := time.Now(), work.NewTally(n)
	var err error
	for _, f := range []workers.Func[int, int]{rows.Inc, rows.Double} {
		if q, err = executor.Map(ctx, f, q); err != nil {
			return 0, err
		}
	}
	out, err := bridge.Gather(ctx, q)
	if err != nil {
		return 0, err
	}
	for r := range out {
		if r.Err != nil {
			return 0, r.Err
		}
		t.Add(r.Value)
	}
	return float64(n) / time.Since(begin).Seconds(), errors.Join(t.Err(), ctx.Err())
}
