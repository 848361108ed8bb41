package runner

import (
	"cmp"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// A column is the items of a batch as values: what a stage takes, and what it has
// made where the next one may take it as it is.
type column[T any] struct {
	codec  codec.Typed[T]
	values []T    // zero where there is a hole
	holes  []hole // in order
	item   int    // bytes of an item of the last frame, headers included
}

// A hole is the place of an item that has no value: it failed earlier, or it
// cannot be decoded.
type hole struct {
	place  int
	failed []byte
	miss   *attemptError
}

// Held is a column whose type the caller does not know.
type Held interface {
	// Encode makes a Encode of the items from one on.
	Encode(from int, memory *batch.Memory) []byte
}

func (col *column[T]) Encode(from int, memory *batch.Memory) []byte {
	var b batch.Builder
	n := len(col.values) - from
	b.Use(memory.Get(n*col.room() + 2*batch.Short))
	for _, h := range append(col.holes[:len(col.holes):len(col.holes)], hole{place: len(col.values)}) {
		if h.place < from {
			continue
		}
		col.codec.Fill(&b, col.values[from:h.place])
		from = h.place + 1
		if h.failed != nil {
			b.EndFailure(append(b.Begin(), h.failed...))
		}
	}
	col.item = b.Size()/n + 1
	return b.Take()
}

// room is about what an item needs in a frame.
func (col *column[T]) room() int {
	n := len(col.values)
	return min(cmp.Or(col.item, col.codec.Size(col.values[n-1])+2), batch.MaxBytes/n+1)
}

// clear lets go of what belongs to a batch.
func (col *column[T]) clear() {
	col.values, col.holes = emptied(col.values), emptied(col.holes)
}

// keep is how many items a runner has room for between batches.
const keep = 1 << 16

// emptied returns the slice without elements, to be used again unless it is
// very large.
func emptied[E any](s []E) []E {
	if cap(s) > keep {
		return nil
	}
	clear(s)
	return s[:0]
}
