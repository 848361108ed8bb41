package doctor

import (
	"cmp"
	"slices"
)

// Urgent returns the findings that need attention, the most urgent ones first: failures before warnings,
// and among equals those about a queue, a worker and the like before those about the server.
func Urgent(found []Finding) []Finding {
	faults := slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return !f.IsFault() })
	slices.SortStableFunc(faults, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.generality(), b.generality()))
	})
	return faults
}

// generality is 1 for a finding about the server or the whole namespace, otherwise 0.
func (f Finding) generality() int {
	if f.Subject == "" {
		return 1
	}
	return 0
}
