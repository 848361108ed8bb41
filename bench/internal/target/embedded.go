package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/role"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	futures     = 20_000
	namedQueues = 1000
	// idleTime is the duration of a measurement of an idle process: each blocked read ends and
	// begins again once in it.
	idleTime = time.Minute
	// singles and singlesTime bound the single items of one measurement, in number and in time.
	singles     = 300
	singlesTime = 2 * time.Second
)

// waitingFlows are the numbers of waiting flows with which the embedded broker is measured.
var waitingFlows = []int{1, 10, 100, 1000}

// embeddedTargets are the targets of the embedded broker with many flows, futures and queues.
func embeddedTargets() []Target {
	return []Target{
		{Name: "embedded-item", What: "embedded, one item beside 100 waiting flows, p50", Want: 1, Most: true, Unit: "ms",
			measure: besideWaiting(100, singleItem, "ms")},
		{Name: "embedded-idle", What: "embedded, processors while 1,000 flows wait", Want: 0.01, Most: true, Unit: "cpu",
			measure: besideWaiting(1000, idleProcessors, "cpu")},
		{Name: "embedded-futures", What: "embedded, 20,000 futures by MapSlice", Want: 1, Most: true, Unit: "s", measure: manyFutures},
		{Name: "embedded-queue", What: "embedded, a new named queue beside 1,000, against the first", Want: 1.5, Most: true, Unit: "x",
			measure: besideQueues},
	}
}

// besideWaiting measures with each number of waiting flows. The result is the figure for want
// flows; the note has the others.
func besideWaiting(want int, measure func(context.Context, *executor.Executor) (float64, error), unit string) func(context.Context, *run) (float64, string, error) {
	return func(ctx context.Context, r *run) (got float64, note string, err error) {
		var notes []string
		for _, n := range waitingFlows {
			medians, err := r.Turns(func() (figure float64, err error) {
				err = embedded(ctx, func(ctx context.Context, ex *executor.Executor) error {
					for range n {
						if _, err := ints(0, rows.Inc, rows.Double).Open(ctx, ex, make(chan int)); err != nil {
							return err
						}
					}
					if err := flow.Pause(ctx, untilIdle); err != nil {
						return err
					}
					figure, err = measure(ctx, ex)
					return err
				})
				return figure, err
			})
			if err != nil {
				return 0, "", fmt.Errorf("beside %d flows: %w", n, err)
			}
			if n == want {
				got = medians[0]
			}
			notes = append(notes, fmt.Sprintf("%.4f %s beside %d", medians[0], unit, n))
		}
		return got, strings.Join(notes, ", ") + "; two stages each", nil
	}
}

// embedded runs f with an Executor that has its broker in this process.
func embedded(ctx context.Context, f func(context.Context, *executor.Executor) error) (err error) {
	ex, err := executor.New(ctx, "", executor.Concurrency(hands))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(rows.Inc, rows.Double); err != nil {
		return err
	}
	return f(ctx, ex)
}

// singleItem returns the median time of one item through another flow.
func singleItem(ctx context.Context, ex *executor.Executor) (float64, error) {
	took, err := ints(singles, rows.Inc, rows.Double).Trips(ctx, ex, singlesTime)
	if err != nil {
		return 0, err
	}
	return lab.Percentile(took, 50), nil
}

// idleProcessors returns the number of processors that this process keeps busy while idle.
func idleProcessors(ctx context.Context, _ *executor.Executor) (float64, error) {
	begin, cpu := time.Now(), role.CPU()
	err := flow.Pause(ctx, idleTime)
	return (role.CPU() - cpu).Seconds() / time.Since(begin).Seconds(), err
}

// manyFutures returns the time of all futures on the embedded broker; the note has that on Redis.
func manyFutures(ctx context.Context, r *run) (float64, string, error) {
	var took float64
	all := func(ctx context.Context, ex *executor.Executor) error {
		items := make([]int, futures)
		for i := range items {
			items[i] = i
		}
		begin := time.Now()
		list, err := executor.MapSlice(ctx, ex, rows.Inc, items)
		if err != nil {
			return err
		}
		values, err := executor.GatherSlice(ctx, list)
		took = time.Since(begin).Seconds()
		for i, v := range values {
			if v != i+1 {
				return errors.Join(err, fmt.Errorf("result %d is %d", i, v))
			}
		}
		return err
	}
	medians, err := r.Turns(
		func() (float64, error) { return took, embedded(ctx, all) },
		func() (float64, error) {
			return took, r.Fresh(ctx, hands, []workers.Function{rows.Inc}, all)
		})
	if err != nil {
		return 0, "", err
	}
	return medians[0], fmt.Sprintf("%.2f s on Redis", medians[1]), nil
}

// besideQueues compares new named queues, made with many existing ones, with the first ones.
func besideQueues(ctx context.Context, r *run) (float64, string, error) {
	const few = 20
	var first, last []float64
	medians, err := r.Turns(func() (ratio float64, err error) {
		err = embedded(ctx, func(ctx context.Context, ex *executor.Executor) error {
			empty, err := newQueues(ctx, ex, "first", few)
			if err != nil {
				return err
			}
			if _, err := newQueues(ctx, ex, "many", namedQueues); err != nil {
				return err
			}
			full, err := newQueues(ctx, ex, "last", few)
			first, last, ratio = append(first, empty), append(last, full), full/empty
			return err
		})
		return ratio, err
	})
	if err != nil {
		return 0, "", err
	}
	return medians[0], fmt.Sprintf("%.2f ms over %.2f ms, with one item in each", lab.Median(last), lab.Median(first)), nil
}

// newQueues makes n named queues with one item in each, and returns the median time of one in
// milliseconds.
func newQueues(ctx context.Context, ex *executor.Executor, prefix string, n int) (float64, error) {
	took := make([]time.Duration, n)
	for i := range took {
		in := make(chan int, 1)
		in <- i
		close(in)
		begin := time.Now()
		if _, err := bridge.Scatter(ctx, ex, in, bridge.Name(fmt.Sprint(prefix, i))); err != nil {
			return 0, err
		}
		if err := ex.Flush(ctx); err != nil {
			return 0, err
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return lab.Percentile(took, 50), nil
}
