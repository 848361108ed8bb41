package model

import (
	"runtime/debug"
	"testing"
)

// small has two producers with an item each, of which the first has a successor.
var small = []plan{{batches: []uint8{1}, named: true}, {batches: []uint8{1}}}

type flow struct {
	name string
	model
}

// The correct protocol keeps all promises, for any order of the steps and any place of the faults.
func TestEveryOrderOfSteps(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // almost all allocations of a search stay in use
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			x, at, wrong := f.explore()
			x.want(t, at, wrong, sound)
		})
	}
}

// Without this test, a search that detects no error would pass.
func TestBrokenRulesAreFound(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			m := model{plans: []plan{{batches: []uint8{1, 2}, named: true}, {batches: []uint8{1}}}, branches: 1, faults: 1, kinds: f.kinds, broken: f.broken}
			if f.broken == oneMark {
				m.plans, m.branches = small[:1], 2
			}
			x, at, wrong := m.explore()
			x.want(t, at, wrong, f.wrong)
		})
	}
}

func TestHarmlessForms(t *testing.T) {
	for _, f := range harmless {
		t.Run(f.name, func(t *testing.T) {
			m := model{plans: small, branches: 1, faults: harmlessFaults, kinds: f.kinds, broken: f.broken, vain: true}
			x, at, wrong := m.explore()
			x.want(t, at, wrong, sound)
		})
	}
}

// A call is repeated on a new connection, and the request of the closed connection arrives after
// all.
func TestLateRequests(t *testing.T) {
	for _, f := range []struct {
		name   string
		broken rule
		late   verbSet
		kinds  kind
		wrong  uint8
	}{
		{"all of them", unbroken, ^verbSet(0), all | delays, sound},
		{"acks without numbers, while the gather lives", acksUnnumbered, 1 << ack, delays, sound},
		{"acks without numbers, and the gather dies", acksUnnumbered, 1 << ack, crashes | delays, stuck},
		{"a worker that asks only once", notAskedAgain, 1 << take, delays, stuck},
	} {
		t.Run(f.name, func(t *testing.T) {
			m := model{plans: small, branches: 1, faults: 2, kinds: f.kinds, broken: f.broken, late: f.late}
			x, at, wrong := m.explore()
			x.want(t, at, wrong, f.wrong)
		})
	}
}

// want compares the result of a search, and logs the steps to it.
func (x *search) want(t *testing.T, at int, got, want uint8) {
	t.Helper()
	t.Logf("%d states, %d steps", x.states.n, len(x.edges))
	if at >= 0 {
		t.Logf("%s:\n%s", wrongs[got], x.trace(at))
	}
	if got != want {
		t.Errorf("found: %s; wanted: %s", wrongs[got], wrongs[want])
	}
}
