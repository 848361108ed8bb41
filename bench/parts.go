package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/bench/internal/curve"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/table"
	"github.com/dqbridge/dqbridge/bench/internal/target"
	"github.com/dqbridge/dqbridge/bench/rivals"
)

// parts are the parts of a run.
type parts struct {
	rows, columns, targets, curves map[string]bool
	costs                          bool
}

// Names for groups of parts, and for the costs.
const (
	allTargets = "targets"
	allCurves  = "curves"
	costs      = "costs"
)

// allRows returns the rows of the table in its order.
func allRows() []rows.Row { return slices.Concat(rows.Own(), rivals.Rows()) }

func rowNames() []string {
	var names []string
	for _, r := range allRows() {
		names = append(names, r.Name)
	}
	return names
}

func partNames() []string {
	return slices.Concat(rowNames(), table.Columns(), []string{allTargets}, target.Names(), []string{costs, allCurves}, curve.Names())
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, name := range names {
		m[name] = true
	}
	return m
}

// short is the table.
func short() parts { return parts{rows: set(rowNames()), columns: set(table.Columns())} }

// everything is all parts.
func everything() parts {
	p := short()
	p.targets, p.curves, p.costs = set(target.Names()), set(curve.Names()), true
	return p
}

// chosen returns the named rows, their measurements besides the throughput, and the named targets.
// Without a named row, a column is measured for all rows of this project and for the pipeline
// written by hand.
func chosen(names []string) (parts, error) {
	p := parts{set(nil), set(nil), set(nil), set(nil), false}
	for _, name := range names {
		switch {
		case name == allTargets:
			p.targets = set(target.Names())
		case name == allCurves:
			p.curves = set(curve.Names())
		case name == costs:
			p.costs = true
		case slices.Contains(curve.Names(), name):
			p.curves[name] = true
		case slices.Contains(rowNames(), name):
			p.rows[name] = true
		case slices.Contains(table.Columns(), name):
			p.columns[name] = true
		case slices.Contains(target.Names(), name):
			p.targets[name] = true
		default:
			return p, fmt.Errorf("-only %s: there is no such part, only %s", name, strings.Join(partNames(), ","))
		}
	}
	if len(p.rows) == 0 && len(p.columns) > 0 {
		p.rows = set([]string{"hand", "redis", "apart", "embedded"})
	}
	return p, nil
}
