//go:build race

package model

// A single goroutine has no data races, and the detector makes a search fifteen times slower. Under
// it the flows are small, with 0.1 million states.
var flows = []flow{
	{"two faults", model{plans: small, branches: 1, faults: 2, kinds: all}},
}

const harmlessFaults = 1
