package model

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"unsafe"
)

// The errors that the search detects.
const (
	sound = iota
	crowded
	inVain
	skipped
	twice
	behindTheEnd
	cutShort
	doubled
	runAgain
	storedBehindTheEnd
	leftOver
	stuck
)

var wrongs = [...]string{
	sound:              "nothing",
	crowded:            "more entries than items",
	inVain:             "a function ran for nothing, though nothing broke",
	skipped:            "an item is handed on before the one in front of it",
	twice:              "an item is handed on that was acknowledged",
	behindTheEnd:       "an item is handed on behind the end of its source",
	cutShort:           "the channel is closed before the last item",
	doubled:            "an item is in two entries",
	runAgain:           "an item that was acknowledged waits for a worker",
	storedBehindTheEnd: "an item is stored behind the end of its source",
	leftOver:           "the gather has released the queue, and there are entries in it",
	stuck:              "from here the stream never ends, although nothing breaks any more",
}

// check returns the error of a state.
func (m *model) check(s *state) uint8 {
	if s.wrong != sound {
		return s.wrong
	}
	for i, e := range s.entries {
		if e.stream == nowhere {
			break
		}
		if s.gather.mode == left {
			return leftOver
		}
		for _, other := range s.entries[i+1:] {
			if overlap(e, other) {
				return doubled
			}
		}
		for b := range m.branches {
			if e.stream != results && e.from < e.to && e.from < s.acked[e.lane+uint8(b)] {
				return runAgain
			}
		}
	}
	for _, src := range s.sources {
		if src.ended && src.stored > src.end {
			return storedBehindTheEnd
		}
	}
	return sound
}

// overlap reports whether two entries share an item: in one lane, or in one source before a worker
// has split it into lanes.
func overlap(a, b entry) bool {
	same := a.lane == b.lane
	if (a.stream == results) != (b.stream == results) {
		same = a.lane/branches == b.lane/branches
	}
	return b.stream != nowhere && same && a.from < b.to && b.from < a.to
}

// A search holds all reachable states in the order of their distance from the start, and the steps
// without a fault between them.
type search struct {
	*model
	seed    maphash.Seed
	states  pages
	parents []uint32
	table   []uint64 // indexes of states plus one, by hash, whose upper half they contain
	edges   []uint32
	begins  []uint32 // index of the first edge of each state
	ends    []bool   // whether a state can reach the release of the queue
}

// explore visits every reachable state. It stops at the first state with an error and returns its
// index.
func (m *model) explore() (found *search, at int, wrong uint8) {
	x := &search{model: m, seed: maphash.MakeSeed(), table: make([]uint64, 1<<12)}
	x.meet(m.start().canonical(), 0)
	for i := uint32(0); i < uint32(x.states.n); i++ {
		s := x.states.at(i).state()
		if wrong := m.check(&s); wrong != sound {
			return x, int(i), wrong
		}
		x.ends = append(x.ends, s.gather.mode == left)
		x.begins = append(x.begins, uint32(len(x.edges)))
		m.next(&s, func(_ step, n state) {
			place := x.meet(n.canonical(), i)
			if n.faults == s.faults && s.late == n.late { // no abandoned request arrives
				x.edges = append(x.edges, place)
			}
		})
	}
	x.begins = append(x.begins, uint32(len(x.edges)))
	if at := x.stuck(); at >= 0 {
		return x, at, stuck
	}
	return x, -1, sound
}

// meet returns the index of a state, and adds it if it is new.
func (x *search) meet(s state, parent uint32) uint32 {
	if 4*x.states.n > 3*len(x.table) {
		x.grow()
	}
	k := s.key()
	slot, hash := x.slot(&k)
	if x.table[slot] == 0 {
		if x.states.add(k); k.state() != s {
			panic("a number of the state is above 15")
		}
		x.parents = append(x.parents, parent)
		x.table[slot] = hash<<32 | uint64(x.states.n)
	}
	return uint32(x.table[slot]) - 1
}

// slot returns the index in the table of a state, or of the free place for it.
func (x *search) slot(k *key) (at, hash uint64) {
	mask := uint64(len(x.table) - 1)
	hash = maphash.Bytes(x.seed, k[:])
	for at = hash >> 32 & mask; ; at = (at + 1) & mask {
		there := x.table[at]
		if there == 0 || there>>32 == hash&math.MaxUint32 && *x.states.at(uint32(there) - 1) == *k {
			return at, hash
		}
	}
}

func (x *search) grow() {
	x.table = make([]uint64, 2*len(x.table))
	for i := range uint32(x.states.n) {
		slot, hash := x.slot(x.states.at(i))
		x.table[slot] = hash<<32 | uint64(i+1)
	}
}

// stuck returns the first state from which no steps without a fault lead to the release of the
// queue, or -1.
func (x *search) stuck() int {
	for changed := true; changed; {
		changed = false
		for i := len(x.ends) - 1; i >= 0; i-- {
			if x.ends[i] {
				continue
			}
			for _, place := range x.edges[x.begins[i]:x.begins[i+1]] {
				x.ends[i] = x.ends[i] || x.ends[place]
			}
			changed = changed || x.ends[i]
		}
	}
	return slices.Index(x.ends, false)
}

// trace returns the steps to a state, one in each line.
func (x *search) trace(at int) string {
	var path []int
	for i := at; i != 0; i = int(x.parents[i]) {
		path = append(path, i)
	}
	var text strings.Builder
	s := x.start() // not canonical, so that workers keep their names
	for i := len(path) - 1; i >= 0; i-- {
		want, done := x.states.at(uint32(path[i])).state(), false
		var to state
		x.next(&s, func(t step, n state) {
			if !done && n.canonical() == want {
				done, to = true, n
				fmt.Fprintf(&text, "%3d  %v\n", len(path)-i, t)
			}
		})
		s = to
	}
	return text.String()
}

// A key is a state in half of its bytes: none of its numbers is above 15.
type key [4 * words]byte

const words = (unsafe.Sizeof(state{}) + 7) / 8

type raw [8 * words]byte

func (s *state) key() (k key) {
	var r raw
	*(*state)(unsafe.Pointer(&r)) = *s
	for i := range words {
		w := binary.LittleEndian.Uint64(r[8*i:])
		w |= w >> 4
		w = w&0xff | w>>8&0xff00 | w>>16&0xff0000 | w>>24&0xff000000
		binary.LittleEndian.PutUint32(k[4*i:], uint32(w))
	}
	return k
}

func (k *key) state() state {
	var r raw
	for i, b := range k {
		r[2*i], r[2*i+1] = b&15, b>>4
	}
	return *(*state)(unsafe.Pointer(&r))
}

// pages is a list that grows without being copied.
type pages struct {
	n    int
	list []*[pageSize]key
}

const pageSize = 1 << 12

func (p *pages) at(i uint32) *key { return &p.list[i/pageSize][i%pageSize] }

func (p *pages) add(k key) {
	if p.n%pageSize == 0 {
		p.list = append(p.list, new([pageSize]key))
	}
	*p.at(uint32(p.n)) = k
	p.n++
}
