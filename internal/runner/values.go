package runner

import (
	"cmp"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// A column is the items of a batch as values: the input of a stage, or its results if the next
// stage takes them without encoding.
type column[T any] struct {
	codec    codec.Typed[T]
	values   []T          // zero at the index of a failure
	failures []failedItem // by index
	item     int          // bytes of an item of the last frame, headers included
}

// A failedItem is an item without a value: it failed in an earlier stage, or it cannot be decoded.
type failedItem struct {
	index   int
	failure []byte
	err     *attemptError
}

// Held is the results that a Runner holds as values, for a caller that does not know their type.
type Held interface {
	// Encode returns a frame of the items from an index on.
	Encode(from int, memory *batch.Memory) []byte
}

func (col *column[T]) Encode(from int, memory *batch.Memory) []byte {
	var b batch.Builder
	n := len(col.values) - from
	b.Use(memory.Get(n*col.itemSize() + 2*batch.Short))
	for _, h := range append(col.failures[:len(col.failures):len(col.failures)], failedItem{index: len(col.values)}) {
		if h.index < from {
			continue
		}
		col.codec.Fill(&b, col.values[from:h.index])
		from = h.index + 1
		if h.failure != nil {
			b.EndFailure(append(b.Begin(), h.failure...))
		}
	}
	col.item = b.Size()/n + 1
	return b.Take()
}

// itemSize estimates the bytes of an item in a frame.
func (col *column[T]) itemSize() int {
	n := len(col.values)
	return min(cmp.Or(col.item, col.codec.Size(col.values[n-1])+2), batch.MaxBytes/n+1)
}

// clear drops the values of a batch.
func (col *column[T]) clear() {
	col.values, col.failures = emptied(col.values), emptied(col.failures)
}

// keptItems is the number of items that a Runner keeps memory for between batches.
const keptItems = 1 << 16

// emptied returns an empty slice with the same memory, or nil if the memory is very large.
func emptied[E any](s []E) []E {
	if cap(s) > keptItems {
		return nil
	}
	clear(s)
	return s[:0]
}
