// Package table measures the cost of every row and compares them in a table.
package table

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

// Columns that are measured separately; the throughput is always measured.
const (
	Latency = "latency"
	Idle    = "idle"
	Queued  = "queued"
)

// Columns returns all of them.
func Columns() []string { return []string{Latency, Idle, Queued} }

// A Line is a row of the table. A nil value was not measured, or has no meaning there.
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
	Commands       *float64 `json:"commands_per_item"` // including those in scripts
	Scripts        *float64 `json:"scripts_per_item"`
	Queued         *float64 `json:"bytes_per_queued_item"`
	Idle           *float64 `json:"idle_commands_per_second"`
	IdleCPU        *float64 `json:"idle_cpu"`       // of the process, in processors
	IdleRedisCPU   *float64 `json:"idle_redis_cpu"` // of the redis-server
	Allocs         float64  `json:"allocs_per_item"`
	CPU            float64  `json:"cpu_us_per_item"` // of this process
	RedisCPU       *float64 `json:"redis_cpu_us_per_item"`
	Lines          int      `json:"lines_of_user_code"`
}

// Measure fills a line for each row.
func Measure(ctx context.Context, l *lab.Lab, list []rows.Row, wants func(column string) bool) ([]Line, error) {
	if err := l.Rates(ctx, list); err != nil {
		return nil, err
	}
	if wants(Latency) {
		if err := l.Singles(ctx, list); err != nil {
			return nil, err
		}
	}
	lines := make([]Line, 0, len(list))
	for _, r := range list {
		line := throughput(l, r)
		if wants(Latency) && !r.Bulk {
			single(l, r, &line)
		}
		if wants(Idle) {
			idle, err := l.Idle(ctx, r)
			if err != nil {
				return nil, fmt.Errorf("%s, idle: %w", r.Title, err)
			}
			line.IdleCPU = &idle.CPU
			if r.Redis {
				line.Idle, line.IdleRedisCPU = &idle.Commands, &idle.RedisCPU
			}
		}
		if wants(Queued) && r.Backlog != nil {
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

func throughput(l *lab.Lab, r rows.Row) Line {
	rate := l.Rate(r.Name)
	line := Line{
		Name: r.Name, Title: r.Title, Items: rate.Items, PerSecond: rate.PerSecond(), Ordered: rate.Ordered, Lines: r.Lines(),
		Allocs: rate.Median(func(p lab.Pass) float64 { return p.Allocs }),
		CPU:    1e6 * rate.Median(func(p lab.Pass) float64 { return p.CPU }),
	}
	line.Min, line.Max = line.PerSecond, line.PerSecond
	for _, p := range rate.Passes {
		line.Min, line.Max = min(line.Min, p.PerSecond), max(line.Max, p.PerSecond)
	}
	if r.Redis {
		commands := rate.Median(func(p lab.Pass) float64 { return p.Commands })
		scripts := rate.Median(func(p lab.Pass) float64 { return p.Scripts })
		cpu := 1e6 * rate.Median(func(p lab.Pass) float64 { return p.RedisCPU })
		line.Commands, line.Scripts, line.RedisCPU = &commands, &scripts, &cpu
	}
	for _, of := range []struct {
		name string
		to   **float64
	}{{"channels", &line.OfChannels}, {"hand", &line.OfHand}, {"hand-channels", &line.OfHandChannels}} {
		if base := l.Rate(of.name); base != nil {
			q := line.PerSecond / base.PerSecond()
			*of.to = &q
		}
	}
	return line
}

func single(l *lab.Lab, r rows.Row, line *Line) {
	p50, p99 := l.Trip(r.Name, 50), l.Trip(r.Name, 99)
	line.Trips, line.P50, line.P99 = l.TripsOf(r.Name), &p50, &p99
	if l.TripsOf("hand") > 0 {
		q := p50 / l.Trip("hand", 50)
		line.P50OfHand = &q
	}
}
