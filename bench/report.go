package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/cost"
	"github.com/dqbridge/dqbridge/bench/internal/curve"
	"github.com/dqbridge/dqbridge/bench/internal/page"
	"github.com/dqbridge/dqbridge/bench/internal/table"
	"github.com/dqbridge/dqbridge/bench/internal/target"
)

// A report is the output of -json.
type report struct {
	Go         string          `json:"go"`
	Redis      string          `json:"redis"`
	Processors int             `json:"processors"`
	Runs       int             `json:"runs"`
	Table      []table.Line    `json:"table"`
	Targets    []target.Result `json:"targets"`
	Costs      []cost.Cost     `json:"costs"`
	Curves     []curve.Chart   `json:"curves"`
	Seconds    float64         `json:"seconds"` // duration of the run
}

func (r *report) write(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%s, Redis %s, %d processors; the median of %d runs in turns\n\n",
		r.Go, r.Redis, r.Processors, r.Runs); err != nil {
		return err
	}
	for _, part := range []struct {
		rows  int
		write func() error
	}{
		{len(r.Table), func() error { return table.Write(out, r.Table) }},
		{len(r.Targets), func() error { return target.Write(out, r.Targets) }},
		{len(r.Costs), func() error { return cost.Write(out, r.Costs) }},
		{len(r.Curves), func() error { return curve.Write(out, r.Curves) }},
	} {
		if part.rows == 0 {
			continue
		}
		if err := part.write(); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "It took %.0f seconds.\n", r.Seconds)
	return err
}

// document writes the figures into the page.
func (r *report) document(docs string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s; %s.\n\n```\n", page.Machine(r.Processors, r.Redis, r.Go), time.Now().Format("January 2006"))
	if err := r.write(&text); err != nil {
		return err
	}
	text.WriteString("```\n")
	for _, c := range r.Curves {
		fmt.Fprintf(&text, "\n![%s](performance/%s)\n", c.Title, c.File)
	}
	return page.Replace(filepath.Join(docs, "performance.md"), text.String())
}
