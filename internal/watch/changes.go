package watch

import (
	"cmp"
	"slices"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
)

// A flowKey names a flow.
type flowKey struct {
	name      string
	partition int
}

// A toldFlow is a flow as it was told, and as the last look has found it.
type toldFlow struct{ told, found inspect.Flow }

// settleFlows returns the flows of a look, each with the cause that was told before, until two looks
// have found another one. It forgets the flows that are gone.
func (l *Looker) settleFlows(s inspect.Snapshot) []inspect.Flow {
	known := make([]inspect.Flow, 0, len(l.flows))
	for _, f := range l.flows {
		known = append(known, f.told)
	}
	flows := s.FlowsAfter(known)
	next := make(map[flowKey]toldFlow, len(flows))
	for i, found := range flows {
		key := flowKey{found.Name, found.Partition}
		before, seen := l.flows[key]
		if seen && !isSettled(found, before) {
			flows[i] = found.WithCause(before.told)
		}
		next[key] = toldFlow{told: flows[i], found: found}
	}
	l.flows = next
	return flows
}

// isSettled reports whether the cause that a look has found may be told.
func isSettled(found inspect.Flow, before toldFlow) bool {
	return found.SameCause(before.told) || found.SameCause(before.found) || isFixed(found) || isFixed(before.told)
}

// isFixed reports whether the state of a flow is not measured: it is paused, or done.
func isFixed(f inspect.Flow) bool { return f.State == "paused" || f.State == "done" }

// A findingKey names a fault.
type findingKey struct{ id, subject string }

// A toldFinding is a fault as it was told last, and whether it is told and was found.
type toldFinding struct {
	last        doctor.Finding
	told, found bool
}

// settleFindings returns the findings of a look: a fault comes when it is in two looks, and goes when two
// looks are without it. In the first look all come.
func (l *Looker) settleFindings(found []doctor.Finding) []doctor.Finding {
	next, first := map[findingKey]toldFinding{}, l.findings == nil
	var told []doctor.Finding
	for _, f := range found {
		if !f.IsFault() {
			continue
		}
		key := findingKey{f.ID, f.Subject}
		before := l.findings[key]
		now := toldFinding{last: f, told: first || before.told || before.found || next[key].told, found: true}
		if now.told {
			told = append(told, f)
		}
		next[key] = now
	}
	var left []doctor.Finding
	for key, before := range l.findings {
		if _, again := next[key]; !again && before.told && before.found {
			next[key] = toldFinding{last: before.last, told: true}
			left = append(left, before.last)
		}
	}
	slices.SortFunc(left, func(a, b doctor.Finding) int { return cmp.Compare(a.Subject, b.Subject) })
	l.findings = next
	return doctor.Complete(append(told, left...), found)
}
