package table

import (
	"context"
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/report"
)

// A Cost is that of a million items, by process.
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

func (s Split) values() []float64 { return []float64{s.Producer, s.Worker, s.Consumer, s.Redis} }

var costs = []struct {
	title string
	plan  process.Plan
}{
	{"ints, two stages fused", process.Plan{Workers: 1, Job: process.Job{N: 3_000_000, Concurrency: 4}}},
	{"ints, two stages apart", process.Plan{Workers: 1, Job: process.Job{N: 3_000_000, Concurrency: 4, Apart: true}}},
	{"ints, two workers", process.Plan{Workers: 2, Job: process.Job{N: 3_000_000, Concurrency: 2}}},
	{"100 bytes, one stage", process.Plan{Workers: 1, Job: process.Job{N: 1_000_000, Size: 100, Concurrency: 4}}},
	{"10 KiB, one stage", process.Plan{Workers: 1, Job: process.Job{N: 50_000, Size: 10 << 10, Concurrency: 4}}},
	{"1 MiB, one stage", process.Plan{Workers: 1, Job: process.Job{N: 1_000, Size: 1 << 20, Concurrency: 4}}},
}

// Costs measures the costs of processes; each figure is the median of its runs.
func Costs(ctx context.Context, l *measure.Lab) ([]Cost, error) {
	list := []Cost{}
	for _, c := range costs {
		l.Say("costs: %s", c.title)
		var all []process.Outcome
		for range l.Runs {
			o, err := process.Run(ctx, c.plan)
			if err != nil {
				return list, fmt.Errorf("costs, %s: %w", c.title, err)
			}
			all = append(all, o)
		}
		list = append(list, costOf(c.title, c.plan.N, all))
	}
	return list, nil
}

func costOf(title string, n int, all []process.Outcome) Cost {
	median := func(f func(process.Outcome) float64) float64 { return measure.MedianOf(all, f) }
	million := 1e6 / float64(n)
	return Cost{
		Title: title, Items: n, PerSecond: median(process.Outcome.PerSecond),
		CPU: Split{
			million * median(func(o process.Outcome) float64 { return o.Producer.CPU }),
			million * median(func(o process.Outcome) float64 { return o.Worker.CPU }),
			million * median(func(o process.Outcome) float64 { return o.Consumer.CPU }),
			million * median(func(o process.Outcome) float64 { return o.Redis.CPU }),
		},
		Peak: Split{
			median(func(o process.Outcome) float64 { return o.Producer.Peak }),
			median(func(o process.Outcome) float64 { return o.Worker.Peak }),
			median(func(o process.Outcome) float64 { return o.Consumer.Peak }),
			median(func(o process.Outcome) float64 { return o.Peak }),
		},
		Commands: million * median(func(o process.Outcome) float64 { return o.Redis.Commands }),
		In:       median(func(o process.Outcome) float64 { return o.Redis.Received }) / float64(n),
		Out:      median(func(o process.Outcome) float64 { return o.Redis.Sent }) / float64(n),
	}
}

// WriteCosts writes the costs as a table.
func WriteCosts(w io.Writer, list []Cost) error {
	grid := [][]string{{
		"CPU seconds a million items", "items/s", "producer", "worker", "consumer", "Redis", "together",
		"commands/item", "bytes/item in", "out", "peak MB: producer", "worker", "consumer", "Redis",
	}}
	for _, c := range list {
		row, together := []string{c.Title, report.Thousands(c.PerSecond)}, 0.0
		for _, v := range c.CPU.values() {
			row = append(row, report.Significant(v))
			together += v
		}
		for _, v := range []float64{together, c.Commands / 1e6, c.In, c.Out} {
			row = append(row, report.Significant(v))
		}
		for _, v := range c.Peak.values() {
			row = append(row, fmt.Sprintf("%.0f", v/1e6))
		}
		grid = append(grid, row)
	}
	return report.Grid(w, grid)
}
