//go:build race

package model

// There is no race in one goroutine, and the detector makes a search fifteen
// times as slow: under it the flows are small, 0.1 million states.
var flows = []flow{
	{"two faults", model{plans: small, branches: 1, faults: 2, kinds: all}},
}

const harmlessFaults = 1
