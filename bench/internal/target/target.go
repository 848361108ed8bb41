// Package target measures the targets of dqbridge: figures with a wanted value.
package target

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

// A Target is one figure.
type Target struct {
	Name    string // for -only
	What    string
	Want    float64
	Most    bool // Want is the upper bound
	Unit    string
	measure figure
}

// A figure measures a value, with a note that explains it.
type figure func(ctx context.Context, r *run) (got float64, note string, err error)

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

// A run has the rows of the table and the state of several targets.
type run struct {
	*measure.Runner
	rows    []rows.Row
	peaks   []peak
	dir     string // temporary, for command; "" before
	program string // built by command; "" before
}

// A peak is the peak memory of a process.
type peak struct {
	process string
	bytes   float64
}

const (
	// slots of a worker, if their number has no effect.
	slots = 4
	// longest is the length of a printed error, which thousands of flows can have.
	longest = 300
)

// all are in the order of the measurement; "memory" uses the results of targets before it.
func all() []Target {
	return slices.Concat(rateTargets(), tripTargets(), payloadTargets(), waitTargets(), producerTargets(), scaleTargets(), wideTargets(), filterTargets(), flatMapTargets(), fanOutTargets(), limitTargets(),
		embeddedTargets(), operateTargets(),
		commandTargets(), peakTargets())
}

// Names are those of all targets.
func Names() (names []string) {
	for _, t := range all() {
		names = append(names, t.Name)
	}
	return names
}

// Measure measures the wanted targets. A target that fails has a result with an error.
func Measure(ctx context.Context, l *measure.Runner, list []rows.Row, wants map[string]bool) ([]Result, error) {
	r := &run{Runner: l, rows: list}
	defer func() { _ = os.RemoveAll(r.dir) }()
	results := []Result{}
	for _, t := range all() {
		if !wants[t.Name] {
			continue
		}
		l.Logf("target %s: %s", t.Name, t.What)
		result := Result{Name: t.Name, What: t.What, Want: t.Want, Most: t.Most, Unit: t.Unit}
		got, note, err := t.measure(ctx, r)
		switch {
		case ctx.Err() != nil:
			return results, context.Cause(ctx)
		case err != nil:
			result.Error = err.Error()
			if len(result.Error) > longest {
				result.Error = result.Error[:longest] + " ..."
			}
			l.Logf("  failed: %s", result.Error)
		default:
			result.Got, result.Note, result.Pass = got, note, t.Most == (got <= t.Want) || got == t.Want
			l.Logf("  %s %s", report.Significant(got), t.Unit)
		}
		results = append(results, result)
	}
	return results, nil
}

// Write writes the results as a table, and their notes.
func Write(w io.Writer, results []Result) error {
	grid := [][]string{{"target", "wanted", "measured", "", ""}}
	var notes strings.Builder
	for _, r := range results {
		bound, verdict, note := ">= ", "missed", r.Note
		if r.Most {
			bound = "<= "
		}
		switch {
		case r.Error != "":
			verdict, note = "FAILED", r.Error
		case r.Pass:
			verdict = "reached"
		}
		grid = append(grid, []string{r.What, bound + report.Significant(r.Want), report.Significant(r.Got), fmt.Sprintf("%-10s", r.Unit), fmt.Sprintf("%-8s", verdict)})
		if note != "" {
			fmt.Fprintf(&notes, "\n%s: %s", r.What, note)
		}
	}
	if err := report.Grid(w, grid); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, notes.String())
	return err
}
