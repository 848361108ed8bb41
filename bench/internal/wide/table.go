package wide

import (
	"context"
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/report"
)

// A Row is what one fleet costs.
type Row struct {
	Fleet
	Idle             Cost // in a second
	Item, Flow, Join Cost
	Clients          float64 // connections
	Memory           float64 // bytes of Redis
}

// Measure measures fleets of so many workers of one slot beside so many stages.
func Measure(ctx context.Context, s *redisd.Server, workers, stages []int, progress io.Writer) (rows []Row, err error) {
	for _, w := range workers {
		for _, n := range stages {
			fleet := Fleet{Workers: w, Slots: 1, Stages: n}
			_, _ = fmt.Fprintf(progress, "fleet: %d workers beside %d stages\n", w, n)
			err := fleet.With(ctx, s, func(ctx context.Context, r Running) error {
				row, err := r.row(ctx)
				rows = append(rows, row)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%d workers beside %d stages: %w", w, n, err)
			}
		}
	}
	return rows, nil
}

func (r Running) row(ctx context.Context) (row Row, err error) {
	row = Row{Fleet: r.Fleet, Idle: Cost{r.Share, r.Commands}}
	if row.Clients, err = r.Server.Connections(ctx); err != nil {
		return row, err
	}
	if row.Memory, err = r.Server.Memory(ctx); err != nil {
		return row, err
	}
	if row.Item, err = r.ItemCost(ctx); err != nil {
		return row, err
	}
	if row.Flow, err = r.FlowCost(ctx); err != nil {
		return row, err
	}
	row.Join, err = r.JoinCost(ctx)
	return row, err
}

// Write writes rows as a table.
func Write(w io.Writer, rows []Row) error {
	grid := [][]string{{
		"workers", "stages", "idle: of a core", "commands/s", "an item alone: us", "commands", "a flow: ms", "commands",
		"a worker joins: ms", "commands", "connections", "MB of Redis",
	}}
	for _, r := range rows {
		cells := []string{
			report.Thousands(float64(r.Workers)), report.Thousands(float64(r.Stages)),
			fmt.Sprintf("%.3f", r.Idle.CPU), report.Thousands(r.Idle.Commands),
		}
		cells = append(cells, r.Item.cells(1e6)...)
		cells = append(cells, r.Flow.cells(1e3)...)
		cells = append(cells, r.Join.cells(1e3)...)
		grid = append(grid, append(cells, report.Thousands(r.Clients), report.Significant(r.Memory/1e6)))
	}
	return report.Grid(w, grid)
}

// cells returns the CPU time in a unit, so many of which are a second, and the commands. They are dashes if the
// cost is less than the variation of the fleet at rest.
func (c Cost) cells(unit float64) []string {
	if c.CPU <= 0 || c.Commands <= 0 {
		return []string{"-", "-"}
	}
	return []string{report.Significant(unit * c.CPU), report.Significant(c.Commands)}
}
