//go:build !race

package model

// Together the flows have 5.1 million states, 4.4 million of them in the first one.
var flows = []flow{
	{"two faults", model{plans: []plan{{batches: []uint8{2}, named: true}, {batches: []uint8{2}}}, branches: 1, faults: 2, kinds: all}},
	{"one fault, more batches", model{plans: []plan{{batches: []uint8{2, 3}, named: true}, {batches: []uint8{1}}}, branches: 1, faults: 1, kinds: all}},
	{"three faults, one producer", model{plans: []plan{{batches: []uint8{1, 2}}}, branches: 1, faults: 3, kinds: all}},
	{"two faults, two branches", model{plans: []plan{{batches: []uint8{1, 2}, named: true}}, branches: 2, faults: 2, kinds: all}},
}

const harmlessFaults = 2
