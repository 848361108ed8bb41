// Package scale forecasts the throughput of fleets and Clusters from the costs of a batch and of an
// item on one machine.
package scale

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/report"
)

// A Unit is the processor time of a batch of any size and of each item, in seconds.
type Unit struct{ Batch, Item float64 }

// Of is the time of a batch of n items.
func (u Unit) Of(n int) float64 { return u.Batch + u.Item*float64(n) }

// Units are those of ints through two fused stages.
type Units struct {
	Producer, Worker, Consumer, Redis Unit
	Bytes                             Unit    // in and out of Redis
	Beat                              float64 // processor time of Redis for an idle process in a second, in each partition
	Commands                          float64 // of such a process
	Error                             float64 // relative difference of Redis to the measurement with the size in the middle
	Dear                              []Dear  // in the order of their slots
}

// sizes of batches: the units are those of the first and the last size.
var sizes = [...]struct{ batch, items int }{{1, 60_000}, {256, 2_000_000}, {mostItems, 4_000_000}}

// Measure measures producer, worker, consumer and Redis as processes.
func Measure(ctx context.Context, runs int, progress io.Writer) (u Units, err error) {
	var used [len(sizes)][5]float64 // for an item
	for i, s := range sizes {
		_, _ = fmt.Fprintf(progress, "units: batches of %d\n", s.batch)
		var all []process.Outcome
		for range runs {
			o, err := process.Run(ctx, process.Plan{Workers: 1, Job: process.Job{N: s.items, Concurrency: 4, Batch: s.batch}})
			if err != nil {
				return u, err
			}
			all = append(all, o)
		}
		for j, f := range []func(process.Outcome) float64{
			func(o process.Outcome) float64 { return o.Producer.CPU },
			func(o process.Outcome) float64 { return o.Worker.CPU },
			func(o process.Outcome) float64 { return o.Consumer.CPU },
			func(o process.Outcome) float64 { return o.Redis.CPU },
			func(o process.Outcome) float64 { return o.Redis.Sent + o.Redis.Received },
		} {
			used[i][j] = measure.MedianOf(all, f) / float64(s.items)
		}
	}
	for j, to := range []*Unit{&u.Producer, &u.Worker, &u.Consumer, &u.Redis, &u.Bytes} {
		*to = solve(used[0][j], used[len(used)-1][j])
	}
	u.Error = u.Redis.Of(sizes[1].batch)/float64(sizes[1].batch)/used[1][3] - 1
	_, _ = fmt.Fprintln(progress, "units: idle processes")
	o, err := process.Run(ctx, process.Plan{Workers: 8, Idle: 10 * time.Second, Job: process.Job{N: 1, Concurrency: 1}})
	u.Beat, u.Commands = o.Idle.CPU, o.Idle.Commands
	return u, err
}

// solve computes the costs of a batch and of an item from the costs of an item in the smallest and in
// the largest batch.
func solve(small, large float64) Unit {
	first, last := 1/float64(sizes[0].batch), 1/float64(sizes[len(sizes)-1].batch)
	batch := max((small-large)/(first-last), 0)
	return Unit{Batch: batch, Item: max(large-batch*last, 0)}
}

// Write writes the units as a table.
func (u Units) Write(w io.Writer) error {
	grid := [][]string{{"ints, two stages", "us a batch", "us an item"}}
	for i, unit := range []Unit{u.Producer, u.Worker, u.Consumer, u.Redis} {
		name := []string{"producer", "worker", "consumer", "Redis"}[i]
		grid = append(grid, []string{name, report.Significant(1e6 * unit.Batch), report.Significant(1e6 * unit.Item)})
	}
	if err := report.Grid(w, grid); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nRedis moves %s bytes for a batch and %s for an item. A process with nothing to do sends it %s commands a\n"+
		"second in each partition, %s us of its processor. At batches of %d the units are %+.0f %% from what was measured.\n",
		report.Significant(u.Bytes.Batch), report.Significant(u.Bytes.Item), report.Significant(u.Commands), report.Significant(1e6*u.Beat),
		sizes[1].batch, 100*u.Error)
	return err
}
