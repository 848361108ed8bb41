package scale

import (
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/report"
)

// maxClients is the default limit of connections of a redis-server.
const maxClients = 10_000

// fleets are those of the documentation: 1,000 workers of 8 slots, and 10,000 of them.
func fleets() (list []Fleet) {
	add := func(workers, nodes, partitions, flows int, cost float64) {
		list = append(list, Fleet{Nodes: nodes, Partitions: partitions, Flows: flows, Workers: workers, Slots: 8, Cost: cost, Speed: 1})
	}
	for _, cost := range []float64{0, 10e-6, 1e-3, 10e-3, 100e-3} {
		for _, c := range [][3]int{{1, 1, 1}, {1, 1, 1000}, {3, 3, 1000}, {10, 10, 1000}, {100, 64, 1000}} {
			add(1000, c[0], c[1], c[2], cost)
		}
	}
	for _, c := range [][2]int{{1, 1}, {3, 3}, {10, 10}, {100, 64}} {
		add(10_000, c[0], c[1], 1000, 100e-3)
	}
	return list
}

// limit names the part that is busy all the time.
func (f Forecast) limit() string {
	most := max(f.Nodes, f.Slots, f.Callers)
	switch {
	case f.Beats > 0.9:
		return "heartbeats"
	case most < 0.9:
		return "what is under way"
	case most == f.Slots:
		return "the slots"
	case most == f.Nodes:
		return "the busiest node"
	}
	return "the busiest caller"
}

// WriteForecasts writes the forecasts as a table.
func (u Units) WriteForecasts(w io.Writer) error {
	grid := [][]string{{
		"function", "workers of 8 slots", "nodes", "partitions", "flows", "items/s", "batch", "limit", "busiest node", "heartbeats", "slots",
		"nodes used", "waiting connections", "MB/s of a node",
	}}
	percent := report.Format("%.0f %%")
	for _, fleet := range fleets() {
		f := u.Simulate(fleet)
		connections, rate := report.Thousands(float64(f.Connections)), report.Short(f.PerSecond)
		if f.Connections > maxClients {
			connections += " (!)"
		}
		if f.Beats > 0.9 {
			rate = "-"
		}
		grid = append(grid, []string{
			duration(fleet.Cost), report.Thousands(float64(fleet.Workers)), fmt.Sprint(fleet.Nodes), fmt.Sprint(fleet.Partitions), fmt.Sprint(fleet.Flows), rate,
			fmt.Sprint(f.Batch), f.limit(), percent(100 * f.Nodes), percent(100 * f.Beats), percent(100 * f.Slots),
			fmt.Sprint(f.Used), connections, report.Significant(f.BytesOfNode / 1e6),
		})
	}
	return report.Grid(w, grid)
}

func duration(seconds float64) string {
	switch {
	case seconds == 0:
		return "a tiny function"
	case seconds < 1e-3:
		return fmt.Sprintf("%g us", seconds*1e6)
	}
	return fmt.Sprintf("%g ms", seconds*1e3)
}
