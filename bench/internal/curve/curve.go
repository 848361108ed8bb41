// Package curve measures how throughput and latency depend on one parameter, and draws charts of
// it.
package curve

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
)

// A Curve measures the dependence on one parameter. It returns several charts.
type Curve struct {
	Name    string // for -only
	What    string
	measure func(ctx context.Context, l *lab.Lab) ([]Chart, error)
}

// All returns all curves in the order of their measurement.
func All() []Curve {
	return []Curve{
		{"size", "the size of an item", bySize},
		{"cost", "the cost of a function", byCost},
		{"many-stages", "the number of stages", byStages},
		{"workers", "the number of workers", byWorkers},
		{"waiting", "what waits", byBacklog},
	}
}

// Names returns the names for -only.
func Names() []string {
	var names []string
	for _, c := range All() {
		names = append(names, c.Name)
	}
	return names
}

// Measure measures the wanted curves, and draws them into the folder dir unless it is empty.
func Measure(ctx context.Context, l *lab.Lab, wants func(name string) bool, dir string) ([]Chart, error) {
	all := []Chart{}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return all, err
		}
	}
	for _, c := range All() {
		if !wants(c.Name) {
			continue
		}
		l.Say("curves by %s", c.What)
		charts, err := c.measure(ctx, l)
		if err != nil {
			return all, fmt.Errorf("curves by %s: %w", c.What, err)
		}
		for _, chart := range charts {
			if dir == "" {
				continue
			}
			if err := chart.Draw(dir); err != nil {
				return all, err
			}
		}
		all = append(all, charts...)
	}
	return all, nil
}

const (
	hands = 4
	// pointTime is about the duration of the runs of one point.
	pointTime = time.Second
	tripLimit = 500 * time.Millisecond
	trips     = 300
)

// throughput finds how many items fit in pointTime, by the better of two attempts at each step, and
// then runs them in turns.
func throughput(l *lab.Lab, first, most int, run func(n int) (time.Duration, error)) (perSecond float64, err error) {
	n := first
	for n < most {
		took, err := run(n)
		if err != nil {
			return 0, err
		}
		if again, err := run(n); err != nil {
			return 0, err
		} else if took = min(took, again); took > pointTime/3 {
			break
		}
		n = min(int(float64(n)*min(max(float64(pointTime)/float64(took), 2), 16)), most)
	}
	medians, err := l.Turns(func() (float64, error) {
		took, err := run(n)
		return float64(n) / took.Seconds(), err
	})
	if err != nil {
		return 0, err
	}
	return medians[0], nil
}

// middle returns the median and the 99th percentile in milliseconds.
func middle(took []time.Duration) (p50, p99 float64) {
	slices.Sort(took)
	return lab.Percentile(took, 50), lab.Percentile(took, 99)
}

// lines collects points by the name of their series, in the order of appearance.
type lines struct{ series []Series }

func (c *lines) add(name string, x, y float64) {
	i := slices.IndexFunc(c.series, func(s Series) bool { return s.Name == name })
	if i < 0 {
		i = len(c.series)
		c.series = append(c.series, Series{Name: name})
	}
	c.series[i].Points = append(c.series[i].Points, Point{x, y})
}

// computed adds a point that is computed, not measured.
func (c *lines) computed(name string, x, y float64) {
	c.add(name, x, y)
	for i := range c.series {
		if c.series[i].Name == name {
			c.series[i].Dashed = true
		}
	}
}

var (
	perSecond = Axis{"items a second", number}
	latency   = Axis{"one item at a time", span}
)
