// Package producer is the scatter side of a queue. A Batcher collects the items of one source into
// batches, a Sender stores batches while the queue has room, and a Group does both for the items of
// many callers.
package producer

import (
	"encoding/binary"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// batchItems bounds a batch by items; a larger batch saves no further cost.
	batchItems = 8192
	// batchBytes closes a batch: a larger batch saves no further cost, and each slot and each
	// reader holds several batches.
	batchBytes = 1 << 20
	// target is the work of one batch at the dearest stage.
	target = 8 * time.Millisecond
	// backlogTarget bounds the work of a batch of dear items, and backlogItems their number, as
	// long as backlogBatches batches are in flight.
	backlogTarget  = 80 * time.Millisecond
	backlogItems   = 8
	backlogBatches = 1024
	// pendingItems, pendingBatches and pendingBytes bound the batches that collect during a send.
	pendingItems   = 8 * batchItems
	pendingBatches = 64
	pendingBytes   = batch.MaxBytes
	// firstBatches replaces pendingBatches while the cost of an item is unknown: many small batches
	// would delay the larger ones that follow.
	firstBatches = 8
	// growthItems is the number of items of unknown cost after which batches grow faster.
	growthItems = 1024
)

// A Batcher collects the items of one source and cuts them into batches. One goroutine uses it. It
// does no I/O.
type Batcher struct {
	source     string
	next       int64 // offset of the item after the last batch
	limit      int   // items of the next batch
	crowd      int   // items of a batch for which the input is fast enough: it doubles with each full Take
	maxItems   int   // bound of limit
	maxBatches int   // batches that may collect
	pending    broker.Bounds
	open       batch.Builder
	cut        []batch.Batch
	items      int // in cut
	size       int // bytes of cut
	last       int // bytes of the last batch
	memory     batch.Memory
}

// NewBatcher collects the items of a source from the offset first on. No batch exceeds bounds,
// which are those of the queue; 0 is no bound. The collected items do not exceed bounds either. A
// single item may be larger than bounds.
func NewBatcher(source string, first int64, bounds broker.Bounds) *Batcher {
	b := &Batcher{source: source, next: first, maxItems: batchItems, pending: broker.Bounds{Max: pendingItems, MaxBytes: pendingBytes}}
	if bounds.Max > 0 {
		b.pending.Max = min(bounds.Max, pendingItems)
	}
	if bounds.MaxBytes > 0 {
		b.pending.MaxBytes = min(bounds.MaxBytes, pendingBytes)
	}
	b.Limit(Portion{Items: 1, Batches: firstBatches})
	return b
}

// A Portion is the size of a batch in items and the number of batches of one send. Crowded is the size of
// a batch of dear items that are added faster than they are sent.
type Portion struct{ Items, Batches, Crowded int }

// Limit bounds the next batches. While the input is faster than the sends, a batch may have Crowded items:
// workers that take one item each would wait for the next send, and cost Redis some calls an item.
func (b *Batcher) Limit(p Portion) {
	items := max(p.Items, min(b.crowd, p.Crowded))
	b.limit, b.maxBatches = max(1, min(items, b.maxItems, b.maxPending())), p.Batches
}

// LimitItems bounds the items of all later batches; 0 is no bound.
func (b *Batcher) LimitItems(items int) {
	if items > 0 {
		b.maxItems = min(items, batchItems)
	}
}

// maxPending is the number of items that may collect, and maxPendingBytes that of their bytes.
func (b *Batcher) maxPending() int { return int(b.pending.Max) }

func (b *Batcher) maxPendingBytes() int { return int(b.pending.MaxBytes) }

// Reuse takes back the memory of batches that Take has returned. The caller does not use them any
// more.
func (b *Batcher) Reuse(done []batch.Batch) {
	for _, d := range done {
		b.memory.Put(d.Frame)
	}
}

// grow gives a new batch the memory of one like the last one.
func (b *Batcher) grow() {
	if b.open.Len() == 0 && b.last > 0 {
		b.open.Use(b.memory.Get(b.last + b.last/16))
	}
}

// Begin starts an item, see batch.Builder.
func (b *Batcher) Begin() []byte {
	b.grow()
	return b.open.Begin()
}

// End ends the item that Begin has started.
func (b *Batcher) End(buf []byte) {
	b.open.End(buf)
	b.closeFull()
}

// EndValue ends the item that Begin has started with buf, which has the encoded value behind begun. A
// failure takes the place of one that could not be encoded, as err says, or is too large.
func (b *Batcher) EndValue(begun, buf []byte, err error) {
	switch size := len(buf) - len(begun); {
	case err != nil:
		b.Fail(begun, batch.CannotEncode(err))
	case size > batch.MaxItem:
		b.Fail(begun, batch.TooLarge(size))
	default:
		b.End(buf)
	}
}

// Fail puts a failure in the place of the item that Begin has started.
func (b *Batcher) Fail(buf []byte, f batch.Failure) {
	b.open.Abort(buf)
	b.open.Failure(f)
	b.closeFull()
}

// Fill adds n short items, at most Spare. It calls frame once for each batch, which appends the
// items from from to to.
func (b *Batcher) Fill(n int, frame func(open *batch.Builder, from, to int)) {
	for at := 0; at < n; {
		to := min(n, at+max(1, min(b.limit-b.open.Len(), (b.closingSize()-b.open.Size())/batch.Short)))
		b.grow()
		frame(&b.open, at, to)
		at = to
		b.closeFull()
	}
}

// Add adds an item of about size bytes, which frame appends.
func (b *Batcher) Add(size int, frame func(open *batch.Builder)) {
	b.grow()
	b.open.Grow(b.open.Size() + size + binary.MaxVarintLen64)
	frame(&b.open)
	b.closeFull()
}

// Spare is the number of short items that can be added until the Batcher is Full.
func (b *Batcher) Spare() int {
	if b.Full() {
		return 0
	}
	return max(0, min(min(b.maxPending(), b.maxBatches*b.limit)-b.Len(), 1+(b.maxPendingBytes()-b.size-b.open.Size()-1)/batch.Short))
}

// closeFull closes the open batch if it is full.
func (b *Batcher) closeFull() {
	if b.open.Len() >= b.limit || b.open.Size() >= b.closingSize() {
		b.close()
	}
}

// closingSize is the number of bytes at which a batch is full.
func (b *Batcher) closingSize() int { return min(batchBytes, b.maxPendingBytes()) }

func (b *Batcher) close() {
	n, size := b.open.Len(), b.open.Size()
	whole := batch.Batch{Source: b.source, First: b.next, N: n, Frame: b.open.Take()}
	b.next += int64(n)
	b.items, b.size, b.last = b.items+n, b.size+size, size
	if size > b.maxPendingBytes() && n > 1 { // only the last item exceeds the bound
		if head, last, err := whole.Split(n - 1); err == nil {
			b.cut = append(b.cut, head, last)
			return
		}
	}
	b.cut = append(b.cut, whole)
}

// Len is the number of items that have collected.
func (b *Batcher) Len() int { return b.items + b.open.Len() }

// Full reports that the caller must Take the collected batches before it adds items.
func (b *Batcher) Full() bool {
	return b.Len() >= min(b.maxPending(), b.maxBatches*b.limit) || b.size+b.open.Size() >= b.maxPendingBytes()
}

// Take returns the collected batches, and forgets them.
func (b *Batcher) Take() []batch.Batch {
	if b.Full() {
		b.crowd = min(max(2, 2*b.crowd), backlogItems)
	} else {
		b.crowd /= 2
	}
	if b.open.Len() > 0 {
		b.close()
	}
	taken := b.cut
	b.cut, b.items, b.size = nil, 0, 0
	return taken
}

// Rewind drops the collected batches. The next item gets the offset to.
func (b *Batcher) Rewind(to int64) {
	b.open.Reset()
	b.cut, b.items, b.size, b.next = nil, 0, 0, to
}

// Next is the offset behind the last item.
func (b *Batcher) Next() int64 { return b.next + int64(b.open.Len()) }

// portionFor returns the portion for items that cost so much at the dearest stage. While the cost
// is unknown, the first batches have one item each, so that workers measure the cost. Batches then
// grow with the number of stored items: a backlog that no worker reads yet must not consist of
// single items. The same holds for a backlog with far more dear items than slots.
func portionFor(cost time.Duration, stored, inFlight int64) Portion {
	if cost <= 0 {
		share := int64(64)
		if stored >= growthItems {
			share = 16
		}
		return Portion{Items: int(max(1, min(stored/share, batchItems))), Batches: firstBatches}
	}
	most := min(int64(backlogTarget/cost), backlogItems)
	items := max(1, min(most, inFlight/backlogBatches), min(int64(target/cost), batchItems))
	return Portion{Items: int(items), Batches: pendingBatches, Crowded: int(most)}
}
