package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func overdue(f Facts, report reporter) {
	if f.Snapshot.Overdue > slowReturn {
		report(Warn, "", "start a worker: workers bring delayed items back into their queue",
			"delayed items should have been back in their queue for %v", f.Snapshot.Overdue.Round(time.Second))
	}
}

// values collects the values that processes have, and the names of the processes that have each.
type values map[string][]string

func (v values) add(value, process string) { v[value] = append(v[value], process) }

// String lists the values, those of most processes first, each with the processes that have it.
func (v values) String() string {
	sorted := make([]string, 0, len(v))
	for value := range v {
		sorted = append(sorted, value)
	}
	slices.SortFunc(sorted, func(a, b string) int {
		if d := len(v[b]) - len(v[a]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, value := range sorted {
		sorted[i] = fmt.Sprintf("%s (%s)", value, some(v[value]))
	}
	return strings.Join(sorted, ", ")
}

// some lists the first of some names, and the number of the others.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, " ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
}

func leases(f Facts, report reporter) {
	found := values{}
	for _, w := range f.Snapshot.Workers {
		if w.Lease > 0 {
			found.add(w.Lease.String(), fmt.Sprintf("%s:%d", w.Host, w.PID))
		}
	}
	for _, p := range f.Snapshot.Executors {
		if p.Lease > 0 {
			found.add(p.Lease.String(), process(&p))
		}
	}
	if len(found) > 1 {
		report(Warn, "", "give all processes the same lease: each declares others dead after its own", "the leases differ: %v", found)
	}
}

func versions(f Facts, report reporter) {
	found := values{}
	for _, w := range f.Snapshot.Workers {
		if w.Version != "" {
			found.add(w.Version, fmt.Sprintf("%s:%d", w.Host, w.PID))
		}
	}
	if len(found) > 1 {
		report(Warn, "", "end the update: bring all workers to one version", "the workers have different versions of dqbridge: %v", found)
	}
}

func clocks(f Facts, report reporter) {
	ahead := f.Snapshot.Ahead
	if ahead.Abs() <= clockDrift {
		return
	}
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	report(Warn, "", "synchronize the clocks: the times of logs and joblogs differ from those of Redis",
		"the clock of this host is %v %s that of Redis", ahead.Abs().Round(time.Second), direction)
}

func mailboxes(f Facts, report reporter) {
	for _, w := range f.Snapshot.Workers {
		if w.Mailbox >= fullMailbox {
			report(Warn, w.ID, "look at its log; restart it if it does not work", "%s:%d does not read its hints: its mailbox is full", w.Host, w.PID)
		}
	}
}

func reports(f Facts, report reporter) {
	var muted []string
	for _, w := range f.Snapshot.Workers {
		if w.Muted {
			muted = append(muted, fmt.Sprintf("%s:%d", w.Host, w.PID))
		}
	}
	if len(muted) > 0 {
		report(Warn, "", "give their Redis user the rules for t:, h:, err: and watched of docs/security.md",
			"the work of %s is missing in the numbers of stages, since their Redis user may not report it: %s", plural(len(muted), "worker"), some(muted))
	}
}
