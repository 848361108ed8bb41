// Package work is the task of every subject of the benchmarks: ints through inc and double, and
// back to their sender, each once.
package work

import "fmt"

// Inc and Double are the two stages.
func Inc(x int) int    { return x + 1 }
func Double(x int) int { return 2 * x }

// Expected returns the result of the i-th item, which is i.
func Expected(i int) int { return Double(Inc(i)) }

// A Tally takes results and finds lost, duplicate and wrong ones. While results arrive in order, it
// costs one comparison each.
type Tally struct {
	n, got int
	seen   []uint64 // a bit for each item, from the first one out of order
	bad    error
}

// NewTally returns a Tally for n items.
func NewTally(n int) *Tally { return &Tally{n: n} }

// Add takes one result.
func (t *Tally) Add(x int) {
	if t.seen == nil && x == Expected(t.got) {
		t.got++
		return
	}
	t.disordered(x)
}

func (t *Tally) disordered(x int) {
	if t.seen == nil {
		t.seen = make([]uint64, t.n/64+1)
		for i := range t.got {
			t.seen[i/64] |= 1 << (i % 64)
		}
	}
	t.got++
	i := x/2 - 1
	switch {
	case i < 0 || i >= t.n || x != Expected(i):
		t.bad = fmt.Errorf("%d is no result of the items 0 to %d", x, t.n-1)
	case t.seen[i/64]&(1<<(i%64)) != 0:
		t.bad = fmt.Errorf("the result of item %d came twice", i)
	default:
		t.seen[i/64] |= 1 << (i % 64)
	}
}

// Ordered reports whether the results came in the order of their items.
func (t *Tally) Ordered() bool { return t.seen == nil }

// Err returns an error unless each item had exactly one result.
func (t *Tally) Err() error {
	if t.bad == nil && t.got != t.n {
		return fmt.Errorf("%d results for %d items", t.got, t.n)
	}
	return t.bad
}
