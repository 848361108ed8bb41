package consumer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// maxFailed is how many items with the same failure are handed out in one range. An entry of
// failures has any number of items at no cost, but the caller may allocate memory for each item of
// a range.
const maxFailed = 4096

// order puts the ranges of sources back in order. It is a data structure without I/O, and one
// goroutine uses it.
type order struct {
	unordered  bool
	sources    map[string]*sourceOrder
	ready      []*sourceOrder // those that may have a range to hand out
	duplicates []Range        // see takeDuplicates
	held       held
}

// held counts the items that wait in an order. Any goroutine may read it.
type held struct{ items, bytes atomic.Int64 } // bytes of frames

func (h *held) add(rg Range) {
	h.items.Add(int64(rg.Len()))
	h.bytes.Add(int64(rg.heldBytes))
}

func (h *held) remove(rg Range) {
	h.items.Add(-int64(rg.Len()))
	h.bytes.Add(-int64(rg.heldBytes))
}

// sourceOrder is the order of one source.
type sourceOrder struct {
	next      int64      // offset to hand out next
	delivered ranges.Set // delivered before this gather began or, if unordered, handed out; from next on
	dropped   ranges.Set // dropped by the overflow policy, as far as this is known
	waiting   rangeHeap
	ready     bool // it is in order.ready
	lineage
}

// newOrder returns an order that skips the delivered offsets, which are marks by source.
func newOrder(delivered map[string]string, unordered bool) (*order, error) {
	o := &order{unordered: unordered, sources: map[string]*sourceOrder{}}
	for _, source := range parentsFirst(delivered) {
		done, err := ranges.Parse(delivered[source])
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", source, err)
		}
		if so := o.source(source); so != nil {
			so.delivered = done
			o.advance(so)
		}
	}
	return o, nil
}

// source returns the order of a source, which is added if it is new. It is nil for a child whose offset
// is handed out.
func (o *order) source(name string) *sourceOrder {
	so := o.sources[name]
	if so != nil {
		return so
	}
	so = &sourceOrder{}
	if parent, at, n, ok := broker.Parent(name); ok {
		if so.parent = o.source(parent); so.parent == nil || so.parent.isHandedOut(at) {
			return nil
		}
		so.parent.adopt(so, at, n)
	}
	so.name = name
	o.sources[name] = so
	return so
}

// advance moves next over offsets that are delivered.
func (o *order) advance(so *sourceOrder) {
	for len(so.delivered) > 0 && so.delivered[0].From <= so.next {
		so.next = max(so.next, so.delivered[0].To)
		so.delivered = so.delivered[1:]
	}
	o.complete(so)
}

// remaining returns the offsets of [from, to) that are not handed out.
func (so *sourceOrder) remaining(from, to int64) ranges.Set {
	return so.delivered.Without(max(from, min(so.next, to)), to)
}

// put adds an entry and returns how many of its ranges are still to be delivered.
func (o *order) put(e *broker.Entry) int {
	so := o.source(e.Source)
	if so == nil {
		return 0
	}
	parts := so.remaining(e.First, e.End())
	undelivered, heldBytes := new(int64), len(e.Frame)
	for _, s := range parts {
		*undelivered += s.To - s.From
		rg := Range{Entry: e, From: s.From, To: s.To, undelivered: undelivered, heldBytes: heldBytes}
		so.waiting.push(rg)
		o.held.add(rg)
		heldBytes = 0
	}
	if len(parts) > 0 {
		o.markReady(so)
	}
	return len(parts)
}

// markReady records that a source may have a range to hand out. In order, a child has its turn in that
// of its ancestor.
func (o *order) markReady(so *sourceOrder) {
	for so.parent != nil && !o.unordered {
		so = so.parent
	}
	if !so.ready {
		so.ready, o.ready = true, append(o.ready, so)
	}
}

// pop returns the next range that can be handed out.
func (o *order) pop() (Range, bool) {
	for len(o.ready) > 0 {
		if rg, ok := o.next(o.ready[0]); ok {
			return rg, true
		}
		o.ready[0].ready, o.ready = false, o.ready[1:]
	}
	return Range{}, false
}

// next returns the next range of a source or, in order, of its children that can be handed out.
func (o *order) next(so *sourceOrder) (Range, bool) {
	for {
		kid := so.kids[so.next]
		switch {
		case len(so.waiting) > 0 && (o.unordered || so.waiting[0].From <= so.next):
			rg := so.first()
			o.held.remove(rg)
			rg, ok := o.cutDuplicates(so, rg)
			if !ok {
				continue
			}
			rg = o.cutDivided(so, rg)
			if o.unordered {
				so.delivered = so.delivered.Add(rg.From, rg.To)
			} else {
				so.next = rg.To
			}
			o.advance(so)
			return rg, true
		case kid != nil && !o.unordered:
			if rg, ok := o.next(kid); ok || so.kids[so.next] == kid {
				return rg, ok
			}
		default:
			return Range{}, false
		}
	}
}

// release lets pop return all ranges that wait, although items before them are missing.
func (o *order) release() {
	o.unordered = true
	for _, so := range o.sources {
		if len(so.waiting) > 0 {
			o.markReady(so)
		}
	}
}

// first removes the first range that waits, or the first maxFailed items of a range of failures.
func (so *sourceOrder) first() Range {
	rg := so.waiting[0]
	if rg.Entry.Lost != nil && rg.To-rg.From > maxFailed {
		rg.To = rg.From + maxFailed
		so.waiting[0].From = rg.To
		so.waiting.down()
		return rg
	}
	return so.waiting.pop()
}

// fail puts a failure in the place of items for which no entry will arrive.
func (o *order) fail(source string, s ranges.Span, why *batch.Failure) {
	for from := s.From; from < s.To; {
		n := min(s.To-from, math.MaxInt)
		o.put(&broker.Entry{Batch: batch.Batch{Source: source, First: from, N: int(n), Lost: why}})
		from += n
	}
}

// cutDuplicates cuts off the items of a range that were handed out from another entry while the
// range was waiting. ok is false if no item remains. Entries overlap only after Redis has lost
// writes: this gather holds entries from before, and Redis has the same items in entries with other
// bounds.
func (o *order) cutDuplicates(so *sourceOrder, rg Range) (rest Range, ok bool) {
	rest = rg
	parts := so.remaining(rg.From, rg.To)
	if len(parts) == 0 {
		o.duplicates = append(o.duplicates, rg)
		return Range{}, false
	}
	rest.From, rest.To = parts[0].From, parts[0].To
	if rest.From > rg.From {
		before := rg
		before.To = rest.From
		o.duplicates = append(o.duplicates, before)
	}
	o.keep(so, rg, rest.To)
	return rest, true
}

// keep lets the end of a range wait, from an offset on.
func (o *order) keep(so *sourceOrder, rg Range, from int64) {
	if from < rg.To {
		rg.From, rg.heldBytes, rg.skip = from, 0, nil
		so.waiting.push(rg)
		o.held.add(rg)
	}
}

// takeDuplicates returns the ranges that need no delivery, since all their items were handed out
// from other entries.
func (o *order) takeDuplicates() []Range {
	duplicates := o.duplicates
	o.duplicates = nil
	return duplicates
}

// waits reports whether an entry would wait for items before it.
func (o *order) waits(e broker.Entry) bool {
	for name, first, ok := e.Source, e.First, !o.unordered; ok; name, first, _, ok = broker.Parent(name) {
		if first > o.handedOut(name) {
			return true
		}
	}
	return false
}

// handedOut returns the offset of a source up to which all items are handed out.
func (o *order) handedOut(source string) int64 {
	if so := o.sources[source]; so != nil {
		return so.next
	}
	return 0
}

// missing returns the offsets of a source below stored that have not arrived.
func (o *order) missing(source string, stored int64) ranges.Set {
	so := o.source(source)
	if so == nil {
		return nil
	}
	arrived := slices.Clone(so.delivered)
	for at := range so.kids {
		arrived = arrived.Add(at, at+1)
	}
	waiting := slices.SortedFunc(slices.Values(so.waiting), func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	for _, rg := range waiting {
		arrived = arrived.Add(rg.From, rg.To)
	}
	return arrived.Without(so.next, stored)
}

// drop puts a failure in the place of items that a source has dropped, except those that are known
// already.
func (o *order) drop(source string, dropped ranges.Set, why batch.Failure) {
	so := o.source(source)
	for _, d := range dropped {
		for _, s := range so.dropped.Without(max(d.From, so.next), d.To) {
			o.fail(source, s, &why)
		}
		so.dropped = so.dropped.Add(d.From, d.To)
	}
	passed := 0
	for passed < len(so.dropped) && so.dropped[passed].To <= so.next {
		passed++
	}
	so.dropped = so.dropped[passed:]
}

// holds reports whether entries of a source or of its children wait for items before them.
func (o *order) holds(source string) bool {
	so := o.sources[source]
	return so != nil && so.holds()
}

// forget removes a source and its children.
func (o *order) forget(source string) {
	if so := o.sources[source]; so != nil {
		for _, kid := range so.kids {
			o.forget(kid.name)
		}
		delete(o.sources, source)
	}
}
