// Package target measures the targets of dqbridge and compares each figure with the wanted one.
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

// A Target is one wanted figure.
type Target struct {
	Name    string // for -only
	What    string
	Want    float64
	Most    bool // Want is an upper bound
	Unit    string
	measure measure
}

// A Result is a measured target.
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

// A run holds the state that several targets share.
type run struct {
	*lab.Lab
	rows  []rows.Row
	peaks []peak
}

// A peak is the peak memory of a process in a measurement.
type peak struct {
	who   string
	bytes float64
}

// longest is the largest length of a printed error: that of a thousand flows is long.
const longest = 300

// All returns the targets in the order of their measurement. The last ones use the results of the
// others.
func All() []Target {
	return slices.Concat(rateTargets(), tripTargets(), payloadTargets(), waitTargets(), slotTargets(), producerTargets(), scaleTargets(), embeddedTargets(),
		commandTargets(), pipeTargets(), execTargets(), peakTargets())
}

// Names returns the names for -only.
func Names() []string {
	var names []string
	for _, t := range All() {
		names = append(names, t.Name)
	}
	return names
}

// Measure measures the wanted targets, and the rows that they compare. A failed target is a result
// too.
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

// Write writes the results as a table, followed by their notes.
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
