// Package target measures what dqbridge has to reach, each figure beside the
// wanted one.
package target

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/text"
)

// A Target is one line of what is to be reached.
type Target struct {
	Name    string // for -only
	What    string
	Want    float64
	Most    bool // Want is a bound from above
	Unit    string
	measure measure
}

// A Result is a target that was measured.
type Result struct {
	Name  string  `json:"name"`
	What  string  `json:"what"`
	Want  float64 `json:"want"`
	Most  bool    `json:"at_most"`
	Unit  string  `json:"unit"`
	Got   float64 `json:"got"`
	Pass  bool    `json:"pass"`
	Note  string  `json:"note"`
	Error string  `json:"error,omitempty"`
}

// A run has what several targets use.
type run struct {
	*lab.Lab
	rows  []rows.Row
	peaks []peak
}

// A peak is the most memory that a process had in a measurement.
type peak struct {
	who   string
	bytes float64
}

// longest is how much of an error is shown: that of a thousand flows is long.
const longest = 300

// All are in the order in which they are measured: the last one looks back.
func All() []Target {
	return slices.Concat(rateTargets(), tripTargets(), payloadTargets(), waitTargets(), slotTargets(), producerTargets(), scaleTargets(), embeddedTargets(),
		commandTargets(), pipeTargets(), execTargets(), peakTargets())
}

// Names are those that -only knows.
func Names() []string {
	var names []string
	for _, t := range All() {
		names = append(names, t.Name)
	}
	return names
}

// Measure measures those that are wanted, of all rows those that they compare. One that fails is a result too.
func Measure(ctx context.Context, l *lab.Lab, all []rows.Row, wants func(name string) bool) ([]Result, error) {
	r := &run{Lab: l, rows: all}
	results := []Result{}
	for _, t := range All() {
		if !wants(t.Name) {
			continue
		}
		l.Say("target %s: %s", t.Name, t.What)
		result := Result{Name: t.Name, What: t.What, Want: t.Want, Most: t.Most, Unit: t.Unit}
		got, note, err := t.measure(ctx, r)
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		if err != nil {
			result.Error = err.Error()
			if len(result.Error) > longest {
				result.Error = result.Error[:longest] + " ..."
			}
		} else {
			result.Got, result.Note, result.Pass = got, note, t.Most == (got <= t.Want) || got == t.Want
		}
		l.Say("  %s", result.figure())
		results = append(results, result)
	}
	return results, nil
}

func (r Result) figure() string {
	if r.Error != "" {
		return "failed: " + r.Error
	}
	return text.Significant(r.Got) + " " + r.Unit
}

func (r Result) wanted() string {
	if r.Most {
		return "<= " + text.Significant(r.Want)
	}
	return ">= " + text.Significant(r.Want)
}

func (r Result) verdict() string {
	switch {
	case r.Error != "":
		return "FAILED"
	case r.Pass:
		return "reached"
	}
	return "missed"
}

// Write sets them as a table, with what explains them below.
func Write(w io.Writer, results []Result) error {
	grid := [][]string{{"target", "wanted", "measured", "", ""}}
	for _, r := range results {
		grid = append(grid, []string{r.What, r.wanted(), text.Significant(r.Got), fmt.Sprintf("%-10s", r.Unit), fmt.Sprintf("%-8s", r.verdict())})
	}
	if err := text.Grid(w, grid); err != nil {
		return err
	}
	for _, r := range results {
		note := r.Note
		if r.Error != "" {
			note = r.Error
		}
		if note == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s: %s", r.What, note); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}
