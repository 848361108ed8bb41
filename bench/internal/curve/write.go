package curve

import (
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/text"
)

// Write writes the points of each chart as a table.
func Write(w io.Writer, charts []Chart) error {
	for i, c := range charts {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		var xs []float64
		for _, p := range c.Series[0].Points {
			xs = append(xs, p.X)
		}
		head := []string{c.Title + ", " + c.Y.Label}
		for _, x := range xs {
			head = append(head, c.X.Unit(x))
		}
		grid := [][]string{head}
		for _, s := range c.Series {
			row := []string{s.Name}
			for _, p := range s.Points {
				row = append(row, c.value(p.Y))
			}
			grid = append(grid, row)
		}
		if err := text.Grid(w, grid); err != nil {
			return err
		}
	}
	return nil
}

func (c Chart) value(y float64) string {
	if c.Y.Label == latency.Label {
		return text.Significant(y) + " ms"
	}
	return text.Significant(y)
}
