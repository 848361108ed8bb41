// Package cost measures the resources that a million items take in the producer, the worker, the
// consumer and Redis, each in a process of its own.
package cost

import (
	"context"
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/procs"
	"github.com/dqbridge/dqbridge/bench/internal/text"
)

// A Cost is the cost of a million items: processor time in seconds, and the peak memory of each
// process.
type Cost struct {
	Title     string  `json:"title"`
	Items     int     `json:"items"`
	PerSecond float64 `json:"items_per_second"`
	CPU       Split   `json:"cpu_seconds_per_million"`
	Peak      Split   `json:"peak_bytes"`
	Commands  float64 `json:"redis_commands_per_million"`
	In        float64 `json:"redis_bytes_in_per_item"`
	Out       float64 `json:"redis_bytes_out_per_item"`
}

// A Split has one value for each process.
type Split struct {
	Producer float64 `json:"producer"`
	Worker   float64 `json:"worker"`
	Consumer float64 `json:"consumer"`
	Redis    float64 `json:"redis"`
}

func (s Split) total() float64 { return s.Producer + s.Worker + s.Consumer + s.Redis }

// cases returns the measured cases.
func cases() []struct {
	title string
	plan  procs.Plan
} {
	return []struct {
		title string
		plan  procs.Plan
	}{
		{"ints, two stages fused", procs.Plan{Workers: 1, Job: procs.Job{N: 3_000_000, Concurrency: 4}}},
		{"ints, two stages apart", procs.Plan{Workers: 1, Job: procs.Job{N: 3_000_000, Concurrency: 4, Apart: true}}},
		{"ints, two workers", procs.Plan{Workers: 2, Job: procs.Job{N: 3_000_000, Concurrency: 2}}},
		{"100 bytes, one stage", procs.Plan{Workers: 1, Job: procs.Job{N: 1_000_000, Size: 100, Concurrency: 4}}},
		{"10 KiB, one stage", procs.Plan{Workers: 1, Job: procs.Job{N: 50_000, Size: 10 << 10, Concurrency: 4}}},
		{"1 MiB, one stage", procs.Plan{Workers: 1, Job: procs.Job{N: 1_000, Size: 1 << 20, Concurrency: 4}}},
	}
}

// Measure runs each case as often as the lab's settings say, and returns the run with the median
// rate.
func Measure(ctx context.Context, l *lab.Lab) ([]Cost, error) {
	costs := []Cost{}
	for _, c := range cases() {
		l.Say("costs: %s", c.title)
		var all []procs.Outcome
		for range l.Runs {
			o, err := procs.Run(ctx, c.plan)
			if err != nil {
				return costs, fmt.Errorf("costs, %s: %w", c.title, err)
			}
			all = append(all, o)
		}
		costs = append(costs, of(c.title, c.plan.N, all))
	}
	return costs, nil
}

func of(title string, n int, all []procs.Outcome) Cost {
	middle := func(f func(procs.Outcome) float64) float64 { return lab.Median(lab.Each(all, f)) }
	million := 1e6 / float64(n)
	return Cost{
		Title: title, Items: n, PerSecond: middle(procs.Outcome.PerSecond),
		CPU: Split{
			million * middle(func(o procs.Outcome) float64 { return o.Producer.CPU }),
			million * middle(func(o procs.Outcome) float64 { return o.Worker.CPU }),
			million * middle(func(o procs.Outcome) float64 { return o.Consumer.CPU }),
			million * middle(func(o procs.Outcome) float64 { return o.Redis.CPU }),
		},
		Peak: Split{
			middle(func(o procs.Outcome) float64 { return o.Producer.Peak }),
			middle(func(o procs.Outcome) float64 { return o.Worker.Peak }),
			middle(func(o procs.Outcome) float64 { return o.Consumer.Peak }),
			middle(func(o procs.Outcome) float64 { return o.Peak }),
		},
		Commands: million * middle(func(o procs.Outcome) float64 { return o.Redis.Commands }),
		In:       middle(func(o procs.Outcome) float64 { return o.Redis.Received }) / float64(n),
		Out:      middle(func(o procs.Outcome) float64 { return o.Redis.Sent }) / float64(n),
	}
}

// Write writes the costs as a table.
func Write(w io.Writer, costs []Cost) error {
	grid := [][]string{{
		"CPU seconds a million items", "items/s", "producer", "worker", "consumer", "Redis", "together",
		"commands/item", "bytes/item in", "out", "peak MB: producer", "worker", "consumer", "Redis",
	}}
	for _, c := range costs {
		row := []string{c.Title, text.Thousands(c.PerSecond)}
		for _, v := range []float64{c.CPU.Producer, c.CPU.Worker, c.CPU.Consumer, c.CPU.Redis, c.CPU.total(), c.Commands / 1e6, c.In, c.Out} {
			row = append(row, text.Significant(v))
		}
		for _, v := range []float64{c.Peak.Producer, c.Peak.Worker, c.Peak.Consumer, c.Peak.Redis} {
			row = append(row, fmt.Sprintf("%.0f", v/1e6))
		}
		grid = append(grid, row)
	}
	return text.Grid(w, grid)
}
