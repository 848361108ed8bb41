package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/curve"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/table"
	"github.com/dqbridge/dqbridge/bench/internal/target"
)

// figures are the results of a run, as -json prints them.
type figures struct {
	Go         string          `json:"go"`
	Redis      string          `json:"redis"`
	Processors int             `json:"processors"`
	Runs       int             `json:"runs"`
	Table      []table.Line    `json:"table"`
	Targets    []target.Result `json:"targets"`
	Costs      []table.Cost    `json:"costs"`
	Curves     []curve.Chart   `json:"curves"`
	Seconds    float64         `json:"seconds"` // of the whole run
}

func (f *figures) write(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%s, Redis %s, %d processors; the median of %d runs in turns\n\n",
		f.Go, f.Redis, f.Processors, f.Runs); err != nil {
		return err
	}
	var parts []func(io.Writer) error
	if len(f.Table) > 0 {
		parts = append(parts, func(w io.Writer) error { return table.Write(w, f.Table) })
	}
	if len(f.Targets) > 0 {
		parts = append(parts, func(w io.Writer) error { return target.Write(w, f.Targets) })
	}
	if len(f.Costs) > 0 {
		parts = append(parts, func(w io.Writer) error { return table.WriteCosts(w, f.Costs) })
	}
	if len(f.Curves) > 0 {
		parts = append(parts, func(w io.Writer) error { return curve.Write(w, f.Curves) })
	}
	if err := report.Parts(out, parts...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "It took %.0f seconds.\n", f.Seconds)
	return err
}

// document puts the figures into the page.
func (f *figures) document(docs string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\n\n```\n", report.Machine(f.Redis))
	if err := f.write(&text); err != nil {
		return err
	}
	text.WriteString("```\n")
	for _, c := range f.Curves {
		fmt.Fprintf(&text, "\n![%s](performance/%s)\n", c.Title, c.File)
	}
	return report.Replace(filepath.Join(docs, "performance.md"), text.String())
}
