// Package table has the two tables of costs: of each row, and of each process of a pipeline.
package table

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

const (
	latency = "latency"
	idle    = "idle"
	queued  = "queued"
)

// Columns are the optional measurements; the throughput is always measured.
func Columns() []string { return []string{latency, idle, queued} }

// A Line is a row of the table; a nil field is not measured or has no meaning in the row.
type Line struct {
	Name           string   `json:"name"`
	Title          string   `json:"title"`
	Items          int      `json:"items"` // of a run
	PerSecond      float64  `json:"items_per_second"`
	Min            float64  `json:"min"`
	Max            float64  `json:"max"`
	OfChannels     *float64 `json:"of_channels"`
	OfHand         *float64 `json:"of_hand"`
	OfHandChannels *float64 `json:"of_hand_channels"`
	Ordered        bool     `json:"ordered"`
	Trips          int      `json:"single_items"`
	P50            *float64 `json:"p50_ms"`
	P99            *float64 `json:"p99_ms"`
	P50OfHand      *float64 `json:"p50_of_hand"`
	Commands       *float64 `json:"commands_per_item"` // includes commands of scripts
	Scripts        *float64 `json:"scripts_per_item"`
	Queued         *float64 `json:"bytes_per_queued_item"`
	Idle           *float64 `json:"idle_commands_per_second"`
	IdleCPU        *float64 `json:"idle_cpu"`       // of this process, in processors
	IdleRedisCPU   *float64 `json:"idle_redis_cpu"` // of the redis-server
	Allocs         float64  `json:"allocs_per_item"`
	CPU            float64  `json:"cpu_us_per_item"` // of this process
	RedisCPU       *float64 `json:"redis_cpu_us_per_item"`
	Lines          int      `json:"lines_of_user_code"`
}

// Measure measures a line for each row.
func Measure(ctx context.Context, l *measure.Runner, list []rows.Row, wants map[string]bool) ([]Line, error) {
	if err := l.Rates(ctx, list); err != nil {
		return nil, err
	}
	if wants[latency] {
		if err := l.Singles(ctx, list); err != nil {
			return nil, err
		}
	}
	lines := make([]Line, 0, len(list))
	for _, r := range list {
		line := throughput(l, r)
		if wants[latency] && !r.Bulk {
			line.single(l)
		}
		if wants[idle] {
			idle, err := l.Idle(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s, idle: %w", r.Title, err)
			}
			line.IdleCPU = &idle.CPU
			if r.Redis {
				line.Idle, line.IdleRedisCPU = &idle.Commands, &idle.RedisCPU
			}
		}
		if wants[queued] && r.Backlog != nil {
			bytes, err := l.Queued(ctx, r)
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return nil, fmt.Errorf("%s, queued: %w", r.Title, err)
			}
			line.Queued = &bytes
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func throughput(l *measure.Runner, r rows.Row) Line {
	rate := l.Rate(r.Name)
	line := Line{
		Name: r.Name, Title: r.Title, Items: rate.Items, PerSecond: rate.PerSecond(), Ordered: rate.Ordered, Lines: r.Lines,
		Allocs: rate.Median(func(p measure.Pass) float64 { return p.Allocs }),
		CPU:    1e6 * rate.Median(func(p measure.Pass) float64 { return p.CPU }),
	}
	line.Min, line.Max = line.PerSecond, line.PerSecond
	for _, p := range rate.Passes {
		line.Min, line.Max = min(line.Min, p.PerSecond), max(line.Max, p.PerSecond)
	}
	if r.Redis {
		line.Commands = new(rate.Median(func(p measure.Pass) float64 { return p.Commands }))
		line.Scripts = new(rate.Median(func(p measure.Pass) float64 { return p.Scripts }))
		line.RedisCPU = new(1e6 * rate.Median(func(p measure.Pass) float64 { return p.RedisCPU }))
	}
	for of, to := range map[string]**float64{"channels": &line.OfChannels, "hand": &line.OfHand, "hand-channels": &line.OfHandChannels} {
		if base := l.Rate(of); base != nil {
			*to = new(line.PerSecond / base.PerSecond())
		}
	}
	return line
}

func (line *Line) single(l *measure.Runner) {
	line.Trips, line.P50, line.P99 = l.TripsOf(line.Name), new(l.Trip(line.Name, 50)), new(l.Trip(line.Name, 99))
	if l.TripsOf("hand") > 0 {
		line.P50OfHand = new(*line.P50 / l.Trip("hand", 50))
	}
}

// Write writes the table in two halves: the throughput, and all other columns.
func Write(w io.Writer, lines []Line) error {
	rates := [][]string{{"two stages of ints", "items/s", "min-max", "of channels", "of hand", "of hand-channels", "in order", "allocs/item", "commands/item", "scripts/item"}}
	rest := [][]string{{"", "p50 ms", "p99 ms", "p50 of hand", "single items", "bytes/queued int", "idle commands/s", "idle CPU", "of Redis", "us/item", "of Redis", "user lines"}}
	digits := func(v *float64) string { return report.Cell(v, report.Significant) }
	for _, l := range lines {
		ordered, trips := "no", "-"
		if l.Ordered {
			ordered = "yes"
		}
		if l.P50 != nil {
			trips = fmt.Sprint(l.Trips)
		}
		rates = append(rates, []string{
			l.Title, report.Thousands(l.PerSecond), report.Short(l.Min) + "-" + report.Short(l.Max), digits(l.OfChannels),
			digits(l.OfHand), digits(l.OfHandChannels), ordered, report.Significant(l.Allocs),
			report.Cell(l.Commands, report.Format("%.4f")), report.Cell(l.Scripts, report.Format("%.5f")),
		})
		rest = append(rest, []string{
			l.Title, digits(l.P50), digits(l.P99), digits(l.P50OfHand), trips,
			report.Cell(l.Queued, report.Format("%.1f")), report.Cell(l.Idle, report.Format("%.1f")),
			report.Cell(l.IdleCPU, report.Percent), report.Cell(l.IdleRedisCPU, report.Percent),
			report.Significant(l.CPU), digits(l.RedisCPU), fmt.Sprint(l.Lines),
		})
	}
	if err := report.Parts(w, func(w io.Writer) error { return report.Grid(w, rates) }); err != nil {
		return err
	}
	return report.Grid(w, rest)
}

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
func Costs(ctx context.Context, l *measure.Runner) ([]Cost, error) {
	list := []Cost{}
	for _, c := range costs {
		l.Logf("costs: %s", c.title)
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
