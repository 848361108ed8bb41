// Package producer is the scatter side of a queue. A Batcher collects the items of one source into
// batches, a Sender stores batches while the queue has room, and a Group does both for the items of
// many callers.
package producer

import (
	"encoding/binary"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

const (
	// maxItems bounds a batch by items; a larger batch saves no further cost.
	maxItems = 8192
	// maxBytes closes a batch: a larger one saves no further cost either, and
	// each slot and each reader holds one several times.
	maxBytes = 1 << 20
	// target is how much work a batch should be at the dearest stage.
	target = 8 * time.Millisecond
	// backlogTarget is how much work a batch of dear items may be at most, and backlogItems how
	// many, if that leaves backlogBatches batches in flight.
	backlogTarget  = 80 * time.Millisecond
	backlogItems   = 8
	backlogBatches = 1024
	// pendingItems, pendingBatches and pendingBytes bound the batches that collect while a send is in
	// flight.
	pendingItems   = 8 * maxItems
	pendingBatches = 64
	// firstBatches bound it instead while the cost of an item is unknown: many small
	// batches would only be in the way of the larger ones that follow.
	firstBatches = 8
	pendingBytes = batch.MaxBytes
	// steep is after how many items of unknown cost batches grow faster.
	steep = 1024
)

// A Batcher collects the items of one source and cuts them into batches. It is
// used by one goroutine and does no I/O.
type Batcher struct {
	source string
	next   int64 // offset of the item after the last one cut
	limit  int   // items of a batch
	lots   int   // batches that may collect
	most   int   // bound of limit
	bound  int   // items that may collect
	bytes  int   // bytes that may collect
	open   batch.Builder
	cut    []batch.Batch
	items  int // in cut
	size   int // bytes of cut
	last   int // bytes of the last batch
	memory batch.Memory
}

// NewBatcher collects items of a source from an offset on. items and bytes are
// what the queue takes, 0 for no bound: no batch is larger, but for one of a
// single item, and neither is what collects, but for one item.
func NewBatcher(source string, first, items, bytes int64) *Batcher {
	b := &Batcher{source: source, next: first, most: maxItems, bound: pendingItems, bytes: pendingBytes}
	if items > 0 {
		b.bound = int(min(items, pendingItems))
	}
	if bytes > 0 {
		b.bytes = int(min(bytes, pendingBytes))
	}
	b.Limit(Portion{1, firstBatches})
	return b
}

// A Portion is how large a batch should be, and how many of them should be sent at
// once.
type Portion struct{ Items, Batches int }

// Limit bounds the next batches.
func (b *Batcher) Limit(p Portion) {
	b.limit, b.lots = max(1, min(p.Items, b.most, b.bound)), p.Batches
}

// Most bounds what Limit can say, 0 for no bound.
func (b *Batcher) Most(items int) {
	if items > 0 {
		b.most = min(items, maxItems)
	}
}

// Reuse takes back the memory of batches that Take has returned, which nobody may
// look at any more.
func (b *Batcher) Reuse(done []batch.Batch) {
	for _, d := range done {
		b.memory.Put(d.Frame)
	}
}

// room makes room for a batch like the last one.
func (b *Batcher) room() {
	if b.open.Len() == 0 && b.last > 0 {
		b.open.Use(b.memory.Get(b.last + b.last/16))
	}
}

// Begin starts an item, see batch.Builder.
func (b *Batcher) Begin() []byte {
	b.room()
	return b.open.Begin()
}

// End closes the item begun.
func (b *Batcher) End(buf []byte) {
	b.open.End(buf)
	b.closed()
}

// Fail puts a failure in the place of the item begun.
func (b *Batcher) Fail(buf []byte, f batch.Failure) {
	b.open.Abort(buf)
	b.open.Failure(f)
	b.closed()
}

// Fill adds n short items at once, which frame appends: at most as many as Spare
// says, in as many calls of frame as they make batches.
func (b *Batcher) Fill(n int, frame func(open *batch.Builder, from, to int)) {
	for at := 0; at < n; {
		to := min(n, at+max(1, min(b.limit-b.open.Len(), (b.enough()-b.open.Size())/batch.Short)))
		b.room()
		frame(&b.open, at, to)
		at = to
		b.closed()
	}
}

// Add adds an item of about so many bytes, which frame appends.
func (b *Batcher) Add(size int, frame func(open *batch.Builder)) {
	b.room()
	b.open.Grow(b.open.Size() + size + binary.MaxVarintLen64)
	frame(&b.open)
	b.closed()
}

// Spare is how many short items can be added until it is Full.
func (b *Batcher) Spare() int {
	if b.Full() {
		return 0
	}
	return max(0, min(min(b.bound, b.lots*b.limit)-b.Len(), 1+(b.bytes-b.size-b.open.Size()-1)/batch.Short))
}

func (b *Batcher) closed() {
	if b.open.Len() >= b.limit || b.open.Size() >= b.enough() {
		b.close()
	}
}

// enough is how many bytes close a batch.
func (b *Batcher) enough() int { return min(maxBytes, b.bytes) }

func (b *Batcher) close() {
	n, size := b.open.Len(), b.open.Size()
	whole := batch.Batch{Source: b.source, First: b.next, N: n, Frame: b.open.Take()}
	b.next += int64(n)
	b.items, b.size, b.last = b.items+n, b.size+size, size
	if size > b.bytes && n > 1 { // it fitted until the last item came
		if head, last, err := whole.Split(n - 1); err == nil {
			b.cut = append(b.cut, head, last)
			return
		}
	}
	b.cut = append(b.cut, whole)
}

// Len is the number of items that have collected.
func (b *Batcher) Len() int { return b.items + b.open.Len() }

// Full reports that the collected batches have to be taken before more items are added.
func (b *Batcher) Full() bool {
	return b.Len() >= min(b.bound, b.lots*b.limit) || b.size+b.open.Size() >= b.bytes
}

// Take returns the collected batches, and forgets them.
func (b *Batcher) Take() []batch.Batch {
	if b.open.Len() > 0 {
		b.close()
	}
	taken := b.cut
	b.cut, b.items, b.size = nil, 0, 0
	return taken
}

// Rewind forgets the collected batches: the next item has the offset to.
func (b *Batcher) Rewind(to int64) {
	b.open.Reset()
	b.cut, b.items, b.size, b.next = nil, 0, 0, to
}

// Next is the offset behind the last item.
func (b *Batcher) Next() int64 { return b.next + int64(b.open.Len()) }

// portionFor is what to send where an item costs so much at the dearest stage. An
// unknown cost begins with single items, over which the workers learn it, and grows
// with the number of stored items: a backlog that no worker reads yet should not be made of single
// items. Neither should one in which there are far more dear items than slots.
func portionFor(cost time.Duration, stored, inFlight int64) Portion {
	if cost <= 0 {
		part := int64(64)
		if stored >= steep {
			part = 16
		}
		return Portion{int(max(1, min(stored/part, maxItems))), firstBatches}
	}
	some := min(int64(backlogTarget/cost), inFlight/backlogBatches, backlogItems)
	return Portion{int(max(1, some, min(int64(target/cost), maxItems))), pendingBatches}
}
