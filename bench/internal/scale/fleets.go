package scale

import (
	"context"
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/wide"
)

// A Dear unit is the processor time of Redis for a batch of dear items in a fleet whose workers have so many
// slots: the fewer slots a worker has, the fewer batches share a call.
type Dear struct {
	Slots int
	Batch float64 // seconds
}

// dearFrom is the work of a batch from which on it is fetched and completed by itself.
const dearFrom = 2e-3

// dearWorkers is the size of the fleet that Dear units are measured in.
const dearWorkers = 100

// MeasureDear measures the units of dear batches: an item of 100 ms is a batch.
func (u *Units) MeasureDear(ctx context.Context, s *redisd.Server, progress io.Writer) error {
	for _, slots := range []int{1, 8} {
		l := wide.Load{Fleet: wide.Fleet{Workers: dearWorkers, Slots: slots, Stages: 1}, Millis: 100, Flows: 1, Items: 4_000 + 1_000*(slots-1)}
		if err := l.Measure(ctx, s, progress); err != nil {
			return err
		}
		u.Dear = append(u.Dear, Dear{slots, l.Cost.CPU})
	}
	return nil
}

// dear returns the unit for workers with so many slots.
func (u Units) dear(slots int) (unit float64) {
	for _, d := range u.Dear {
		if d.Slots <= slots {
			unit = d.Batch
		}
	}
	return unit
}

// fleetShare is the processor share of Redis in a FleetCheck: without a limit, this machine would run short of
// processors for its workers first.
const fleetShare = 0.25

// A FleetCheck compares the forecast for one flow of 100 ms in a fleet with a measurement.
type FleetCheck struct {
	wide.Load
	Forecast float64
}

// CheckFleets measures fleets of 10 to 1,000 workers with a throttled Redis.
func (u Units) CheckFleets(ctx context.Context, s *redisd.Server, progress io.Writer) (checks []FleetCheck, err error) {
	for _, workers := range []int{10, 100, 300, 1000} {
		c := FleetCheck{Load: wide.Load{
			Fleet: wide.Fleet{Workers: workers, Slots: 1, Stages: 1}, Millis: 100, Flows: 1, Items: min(100*workers, 8_000), Throttle: fleetShare,
		}}
		if err := c.Measure(ctx, s, progress); err != nil {
			return nil, err
		}
		c.Forecast = u.Simulate(Fleet{
			Nodes: 1, Partitions: 1, Flows: 1, Workers: workers, Slots: 1, Cost: 0.1, Speed: max(c.Share, fleetShare),
		}).PerSecond
		checks = append(checks, c)
	}
	return checks, nil
}

// WriteDear writes the units of dear batches and the checks of fleets as tables.
func (u Units) WriteDear(w io.Writer, checks []FleetCheck) error {
	for _, d := range u.Dear {
		if _, err := fmt.Fprintf(w, "A batch of 100 ms takes %s us of Redis in a fleet of %d workers of %d slots.\n", report.Significant(1e6*d.Batch), dearWorkers, d.Slots); err != nil {
			return err
		}
	}
	grid := [][]string{{"workers here", "items/s", "simulated", "of it", "us an item", "share of a core"}}
	for _, c := range checks {
		grid = append(grid, []string{
			report.Thousands(float64(c.Workers)), report.Thousands(c.Rate), report.Thousands(c.Forecast), fmt.Sprintf("%.2f", c.Rate/c.Forecast),
			report.Significant(1e6 * c.Cost.CPU), fmt.Sprintf("%.2f", c.Share),
		})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return report.Grid(w, grid)
}
