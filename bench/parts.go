package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/bench/competitors"
	"github.com/dqbridge/dqbridge/bench/internal/curve"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/table"
	"github.com/dqbridge/dqbridge/bench/internal/target"
)

// A parts is the set of the measured parts, by name.
type parts map[string]bool

// Names of several parts, and of the costs.
const (
	allTargets = "targets"
	allCurves  = "curves"
	costs      = "costs"
)

// allRows are in the order of the table.
func allRows() []rows.Row { return slices.Concat(rows.Own(), competitors.Rows()) }

func rowNames() (names []string) {
	for _, r := range allRows() {
		names = append(names, r.Name)
	}
	return names
}

func partNames() []string {
	return slices.Concat(rowNames(), table.Columns(), []string{allTargets}, target.Names(), []string{costs, allCurves}, curve.Names())
}

// add adds names and their members.
func (p parts) add(names ...string) parts {
	for _, name := range names {
		p[name] = true
		switch name {
		case allTargets:
			p.add(target.Names()...)
		case allCurves:
			p.add(curve.Names()...)
		}
	}
	return p
}

// short are the parts of the table.
func short() parts { return parts{}.add(rowNames()...).add(table.Columns()...) }

// everything are all parts.
func everything() parts { return parts{}.add(partNames()...) }

// chosen are the parts of -only. Columns without a row are those of dqbridge and the pipeline by hand.
func chosen(names []string) (parts, error) {
	p := parts{}.add(names...)
	known := partNames()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return p, fmt.Errorf("-only %s: there is no such part, only %s", name, strings.Join(known, ","))
		}
	}
	has := func(list []string) bool { return slices.ContainsFunc(list, func(name string) bool { return p[name] }) }
	if has(table.Columns()) && !has(rowNames()) {
		p.add("hand", "redis", "apart", "embedded")
	}
	return p, nil
}
