package runner

import (
	"cmp"
	"slices"

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

	counted   bool    // the batch has other offsets than items
	positions []int32 // of the items, if counted: see batch.AppendPositions
	offsets   int     // of the batch, if counted
}

// A failedItem is an item without a value: it failed in an earlier stage, or it cannot be decoded.
type failedItem struct {
	index   int
	failure []byte
	err     *attemptError
}

// Held is the results that a Runner holds as values, for a caller that does not know their type.
type Held interface {
	// Encode returns a frame of the items at the offsets from the from-th to before the to-th.
	Encode(from, to int, memory *batch.Memory) []byte
	// ItemsIn returns the number of items at the offsets from the from-th to before the to-th.
	ItemsIn(from, to int) int
	// OffsetsBefore returns the number of offsets before the first one with more than so many items.
	OffsetsBefore(items int) int
	// where returns the positions of the items. counted is false if each offset has one item.
	where() (positions []int32, counted bool)
}

func (col *column[T]) OffsetsBefore(items int) int {
	if col.counted {
		for i := items; i < len(col.positions); i++ {
			if col.positions[i-items] == col.positions[i] {
				return int(col.positions[i])
			}
		}
		return col.offsets
	}
	return len(col.values)
}

func (col *column[T]) where() (positions []int32, counted bool) { return col.positions, col.counted }

// indexAt returns the index of the first item at an offset of the batch or behind it.
func (col *column[T]) indexAt(offset int) int {
	if !col.counted {
		return offset
	}
	i, _ := slices.BinarySearch(col.positions, int32(offset))
	return i
}

func (col *column[T]) ItemsIn(from, to int) int { return col.indexAt(to) - col.indexAt(from) }

func (col *column[T]) Encode(from, to int, memory *batch.Memory) []byte {
	i, j := col.indexAt(from), col.indexAt(to)
	frame := col.encode(i, j, memory)
	if col.counted {
		frame = batch.AppendCounts(frame, col.positions[i:j], from, to-from)
	}
	return frame
}

// failuresBefore returns the failures at indexes below n.
func (col *column[T]) failuresBefore(n int) []failedItem {
	k, _ := slices.BinarySearchFunc(col.failures, n, func(h failedItem, n int) int { return cmp.Compare(h.index, n) })
	return col.failures[:k:k]
}

// truncate drops the items from an index on.
func (col *column[T]) truncate(n int) {
	clear(col.values[n:])
	col.values, col.failures = col.values[:n], col.failuresBefore(n)
}

// encode returns a frame of the items from an index to before another one, without counts.
func (col *column[T]) encode(from, to int, memory *batch.Memory) []byte {
	var b batch.Builder
	n := to - from
	if n == 0 {
		return nil
	}
	b.Use(memory.Get(n*col.itemSize() + 2*batch.Short))
	for _, h := range append(col.failuresBefore(to), failedItem{index: to}) {
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
	col.counted, col.positions = false, nil
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
