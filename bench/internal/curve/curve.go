// Package curve measures throughput and latency over one variable, and draws them.
package curve

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/report"
)

// A Curve has one variable and several charts.
type Curve struct {
	Name    string // for -only
	What    string
	measure func(ctx context.Context, l *measure.Runner) ([]Chart, error)
}

// all are in the order of the measurement.
func all() []Curve {
	return []Curve{
		{"size", "the size of an item", bySize},
		{"cost", "the cost of a function", byCost},
		{"many-stages", "the number of stages", byStages},
		{"workers", "the number of workers", byWorkers},
		{"waiting", "the number of waiting items", byBacklog},
	}
}

// Names are those of all curves.
func Names() (names []string) {
	for _, c := range all() {
		names = append(names, c.Name)
	}
	return names
}

// Measure measures the wanted curves and draws them into a folder, unless dir is empty.
func Measure(ctx context.Context, l *measure.Runner, wants map[string]bool, dir string) ([]Chart, error) {
	list := []Chart{}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return list, err
		}
	}
	for _, c := range all() {
		if !wants[c.Name] {
			continue
		}
		l.Logf("curves by %s", c.What)
		charts, err := c.measure(ctx, l)
		if err != nil {
			return list, fmt.Errorf("curves by %s: %w", c.What, err)
		}
		for _, chart := range charts {
			if dir == "" {
				continue
			}
			if err := chart.Draw(dir); err != nil {
				return list, err
			}
		}
		list = append(list, charts...)
	}
	return list, nil
}

const (
	// slots of a worker, if their number has no effect.
	slots = 4
	// pointTime is the approximate length of the runs of one point.
	pointTime = time.Second
	tripLimit = 500 * time.Millisecond
	trips     = 300
)

// A point has the figures of one value of the variable; the times are in milliseconds.
type point struct{ perSecond, p50, p99 float64 }

// pointOf measures the throughput of a flow with the number of items that fit into pointTime, between
// first and most, and then single items.
func pointOf[T any](ctx context.Context, l *measure.Runner, s flow.System[T], f flow.Flow[T], first, most int) (p point, err error) {
	n := first
	for n < most {
		took, err := s.Run(ctx, f.Of(n))
		if err != nil {
			return p, err
		}
		again, err := s.Run(ctx, f.Of(n))
		if err != nil {
			return p, err
		}
		if took = min(took, again); took > pointTime/3 {
			break
		}
		n = min(int(float64(n)*min(max(float64(pointTime)/float64(took), 2), 16)), most)
	}
	medians, err := l.Turns(func() (float64, error) { return s.Rate(ctx, f.Of(n)) })
	if err != nil {
		return p, err
	}
	took, err := s.Trips(ctx, f.Of(trips), tripLimit)
	if err != nil {
		return p, err
	}
	return point{medians[0], measure.Percentile(took, 50), measure.Percentile(took, 99)}, nil
}

// lines collects points by series, in the order of their first points.
type lines struct{ series []Series }

func (c *lines) add(name string, x, y float64) *Series {
	i := slices.IndexFunc(c.series, func(s Series) bool { return s.Name == name })
	if i < 0 {
		i = len(c.series)
		c.series = append(c.series, Series{Name: name})
	}
	c.series[i].Points = append(c.series[i].Points, Point{x, y})
	return &c.series[i]
}

// computed adds a point that is not measured.
func (c *lines) computed(name string, x, y float64) { c.add(name, x, y).Dashed = true }

// Write writes the points of each chart as a table.
func Write(w io.Writer, charts []Chart) error {
	for i, c := range charts {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		head := []string{c.Title + ", " + c.Y.Label}
		for _, p := range c.Series[0].Points {
			head = append(head, c.X.Unit(p.X))
		}
		grid := [][]string{head}
		for _, s := range c.Series {
			row := []string{s.Name}
			for _, p := range s.Points {
				cell := report.Significant(p.Y)
				if c.Y.Label == latency.Label {
					cell += " ms"
				}
				row = append(row, cell)
			}
			grid = append(grid, row)
		}
		if err := report.Grid(w, grid); err != nil {
			return err
		}
	}
	return nil
}
