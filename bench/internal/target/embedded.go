package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	futures     = 20_000
	namedQueues = 1000
	// idleTime is the length of the measurement of an idle process: each blocked read ends and starts
	// again once in this time.
	idleTime = time.Minute
	// singles and singlesTime bound the single items of one measurement.
	singles     = 300
	singlesTime = 2 * time.Second
)

// embeddedTargets are those of the embedded broker with many flows, futures and queues.
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

// embedded returns the figure of f on an Executor with an embedded broker.
func embedded(ctx context.Context, f func(context.Context, *executor.Executor) (float64, error)) (got float64, err error) {
	ex, err := executor.New(ctx, "", executor.Concurrency(slots))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(rows.Inc, rows.Double); err != nil {
		return 0, err
	}
	return f(ctx, ex)
}

// besideWaiting measures beside several numbers of waiting flows. The figure beside want flows
// counts; the note has all of them.
func besideWaiting(want int, measure func(context.Context, *executor.Executor) (float64, error), unit string) figure {
	return func(ctx context.Context, r *run) (got float64, _ string, err error) {
		var notes []string
		for _, n := range []int{1, 10, 100, 1000} {
			medians, err := r.Turns(func() (float64, error) {
				return embedded(ctx, func(ctx context.Context, ex *executor.Executor) (float64, error) {
					if err := openIdle(ctx, ex, n); err != nil {
						return 0, err
					}
					return measure(ctx, ex)
				})
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

// singleItem is the median time of one item through one more flow.
func singleItem(ctx context.Context, ex *executor.Executor) (float64, error) {
	took, err := flow.On[int](ex).Trips(ctx, both(singles), singlesTime)
	if err != nil {
		return 0, err
	}
	return measure.Percentile(took, 50), nil
}

// idleProcessors is the processor time of this process without work, in processors.
func idleProcessors(ctx context.Context, _ *executor.Executor) (float64, error) {
	begin, cpu := time.Now(), process.CPU()
	err := work.Pause(ctx, idleTime)
	return (process.CPU() - cpu).Seconds() / time.Since(begin).Seconds(), err
}

// manyFutures is the time of all futures on the embedded broker. The note has the time on Redis.
func manyFutures(ctx context.Context, r *run) (float64, string, error) {
	medians, err := r.Turns(
		func() (float64, error) { return embedded(ctx, mapAll) },
		func() (took float64, err error) {
			err = r.Fresh(ctx, slots, []workers.Function{rows.Inc}, func(ctx context.Context, ex *executor.Executor) (err error) {
				took, err = mapAll(ctx, ex)
				return err
			})
			return took, err
		})
	return medians[0], fmt.Sprintf("%.2f s on Redis", medians[1]), err
}

// mapAll is the time of all futures in seconds.
func mapAll(ctx context.Context, ex *executor.Executor) (took float64, err error) {
	items := make([]int, futures)
	for i := range items {
		items[i] = i
	}
	begin := time.Now()
	list, err := executor.MapSlice(ctx, ex, rows.Inc, items)
	if err != nil {
		return 0, err
	}
	values, err := executor.GatherSlice(ctx, list)
	took = time.Since(begin).Seconds()
	for i, v := range values {
		if v != work.Inc(i) {
			return 0, errors.Join(err, fmt.Errorf("result %d is %d", i, v))
		}
	}
	return took, err
}

// besideQueues compares new named queues beside many others with the first queues.
func besideQueues(ctx context.Context, r *run) (float64, string, error) {
	const few = 20
	var first, last []float64
	medians, err := r.Turns(func() (float64, error) {
		return embedded(ctx, func(ctx context.Context, ex *executor.Executor) (float64, error) {
			empty, err := newQueues(ctx, ex, "first", few)
			if err != nil {
				return 0, err
			}
			if _, err := newQueues(ctx, ex, "many", namedQueues); err != nil {
				return 0, err
			}
			full, err := newQueues(ctx, ex, "last", few)
			first, last = append(first, empty), append(last, full)
			return full / empty, err
		})
	})
	if err != nil {
		return 0, "", err
	}
	return medians[0], fmt.Sprintf("%.2f ms over %.2f ms, with one item in each", measure.Median(last), measure.Median(first)), nil
}

// newQueues makes n named queues with one item in each. It returns the median time of a queue in
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
	return measure.Percentile(took, 50), nil
}
