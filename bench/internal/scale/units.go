// Package scale forecasts the capacity of a fleet and a Cluster from the cost of a batch and of an
// item on one machine.
package scale

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/procs"
	"github.com/dqbridge/dqbridge/bench/internal/text"
)

// A Unit is processor time in seconds: a constant part for each batch, and a part for each item.
type Unit struct {
	Batch float64 `json:"batch"`
	Item  float64 `json:"item"`
}

// Of returns the time of a batch of n items.
func (u Unit) Of(n int) float64 { return u.Batch + u.Item*float64(n) }

// Units are the costs of ints through two fused stages.
type Units struct {
	Producer Unit `json:"producer"`
	Worker   Unit `json:"worker"`
	Consumer Unit `json:"consumer"`
	Redis    Unit `json:"redis"`
	// Bytes are the bytes in and out of Redis together.
	Bytes Unit `json:"bytes"`
	// Beat is the processor time of Redis that an idle process takes in a second, in each
	// partition.
	Beat float64 `json:"beat"`
	// Commands is the number of commands of such a process.
	Commands float64 `json:"commands"`
	// Error is the relative error of the units at a size in between.
	Error float64 `json:"error"`
}

// Sizes of batches. The units come from the first and the last one; the middle one is compared with
// them.
var sizes = []struct{ batch, items int }{{1, 60_000}, {256, 2_000_000}, {mostItems, 4_000_000}}

// Measure runs producer, worker, consumer and Redis as processes.
func Measure(ctx context.Context, runs int, progress io.Writer) (u Units, err error) {
	used := make([][5]float64, len(sizes))
	for i, s := range sizes {
		_, _ = fmt.Fprintf(progress, "units: batches of %d\n", s.batch)
		var all []procs.Outcome
		for range runs {
			o, err := procs.Run(ctx, procs.Plan{Workers: 1, Job: procs.Job{N: s.items, Concurrency: 4, Batch: s.batch}})
			if err != nil {
				return u, err
			}
			all = append(all, o)
		}
		for j, f := range []func(procs.Outcome) float64{
			func(o procs.Outcome) float64 { return o.Producer.CPU },
			func(o procs.Outcome) float64 { return o.Worker.CPU },
			func(o procs.Outcome) float64 { return o.Consumer.CPU },
			func(o procs.Outcome) float64 { return o.Redis.CPU },
			func(o procs.Outcome) float64 { return o.Redis.Sent + o.Redis.Received },
		} {
			used[i][j] = lab.Median(lab.Each(all, f)) / float64(s.items)
		}
	}
	for j, to := range []*Unit{&u.Producer, &u.Worker, &u.Consumer, &u.Redis, &u.Bytes} {
		*to = solve(used[0][j], used[len(used)-1][j])
	}
	u.Error = u.Redis.Of(sizes[1].batch)/float64(sizes[1].batch)/used[1][3] - 1
	_, _ = fmt.Fprintln(progress, "units: processes with nothing to do")
	o, err := procs.Run(ctx, procs.Plan{Workers: 8, Idle: 10 * time.Second, Job: procs.Job{N: 1, Concurrency: 1}})
	u.Beat, u.Commands = o.Idle.CPU, o.Idle.Commands
	return u, err
}

// solve computes the cost of a batch and of an item from the cost of an item in the smallest and in
// the largest batch.
func solve(small, large float64) Unit {
	first, last := 1/float64(sizes[0].batch), 1/float64(sizes[len(sizes)-1].batch)
	batch := max((small-large)/(first-last), 0)
	return Unit{Batch: batch, Item: max(large-batch*last, 0)}
}

// Write writes the units as a table.
func (u Units) Write(w io.Writer) error {
	grid := [][]string{{"ints, two stages", "us a batch", "us an item"}}
	for _, row := range []struct {
		name string
		unit Unit
	}{{"producer", u.Producer}, {"worker", u.Worker}, {"consumer", u.Consumer}, {"Redis", u.Redis}} {
		grid = append(grid, []string{row.name, text.Significant(1e6 * row.unit.Batch), text.Significant(1e6 * row.unit.Item)})
	}
	if err := text.Grid(w, grid); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nRedis moves %s bytes for a batch and %s for an item. A process with nothing to do sends it %s commands a\n"+
		"second in each partition, %s us of its processor. At batches of %d the units are %+.0f %% from what was measured.\n",
		text.Significant(u.Bytes.Batch), text.Significant(u.Bytes.Item), text.Significant(u.Commands), text.Significant(1e6*u.Beat),
		sizes[1].batch, 100*u.Error)
	return err
}
