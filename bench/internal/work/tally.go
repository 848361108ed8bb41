package work

import (
	"encoding/binary"
	"fmt"
)

// Inc and Double are the two stages.
func Inc(x int) int    { return x + 1 }
func Double(x int) int { return 2 * x }

// Expected is the result of item i, which is the int i.
func Expected(i int) int { return Double(Inc(i)) }

// A Tally finds results that are lost, doubled or wrong. It costs one comparison for each result
// that arrives in order.
type Tally struct {
	n, got int
	seen   []uint64 // a bit an item, made at the first result out of order
	bad    error
}

// NewTally is for n items.
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
		t.bad = fmt.Errorf("item %d has two results", i)
	default:
		t.seen[i/64] |= 1 << (i % 64)
	}
}

// Ordered reports whether the results arrived in the order of their items.
func (t *Tally) Ordered() bool { return t.seen == nil }

// Err returns an error unless each item had exactly one result.
func (t *Tally) Err() error {
	if t.bad == nil && t.got != t.n {
		return fmt.Errorf("%d results for %d items", t.got, t.n)
	}
	return t.bad
}

// Bytes is item i of a size: the number i in the first 8 bytes, cut at the size, and then bytes that
// do not repeat.
func Bytes(i, size int) []byte {
	b := make([]byte, size)
	for at := 0; at < size; at += 8 {
		x := uint64(i)
		if at > 0 {
			x = (x<<32 + uint64(at)) * 0x9e3779b97f4a7c15
		}
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], x)
		copy(b[at:], word[:])
	}
	return b
}

// CheckBytes returns an error if b has not the size and the number of item i.
func CheckBytes(b []byte, i, size int) error {
	var front [8]byte
	copy(front[:], b)
	if x := binary.LittleEndian.Uint64(front[:]); len(b) != size || size >= 8 && x != uint64(i) {
		return fmt.Errorf("result %d has %d bytes and the number %d: lost, doubled or out of order", i, len(b), x)
	}
	return nil
}
