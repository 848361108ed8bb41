package consumer

import (
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// A Range is the items at the offsets [From, To) of an entry, to be delivered. Each item has an index,
// from 0. Of a frame with counts, an offset may have no item: it is delivered with the item behind it,
// or else with the one before.
type Range struct {
	Entry    *broker.Entry
	From, To int64
	Notice   bool // it reports an event of a source, as one failed item without an offset

	undelivered *int64        // number of offsets of the entry that are not delivered; its ranges share it
	heldBytes   int           // bytes of its frame that the order counts while the range waits
	tickets     []Ticket      // one for each item if they are acknowledged one by one, otherwise nil
	positions   []int32       // of the items in the entry, see batch.AppendPositions; nil: each offset has one
	all         []int32       // positions of all items of the entry, among which are those of the range
	first       int           // index of the first item of the range among all
	skip        ranges.Set    // of a range of one offset: items that were delivered before
	position    *batch.Reader // stands before the first item; nil: reading starts at the first item of the entry
}

// newNotice returns a Range that reports an event of a source.
func newNotice(source, code, message string) Range {
	return Range{
		Entry: &broker.Entry{Batch: batch.Batch{Source: source, N: 1, Lost: &batch.Failure{Code: code, Message: message}}},
		To:    1, Notice: true,
	}
}

// locate returns the range with the positions of its items, if the frame of its entry has counts.
func (rg Range) locate() (Range, error) {
	e := rg.Entry
	if e.Lost != nil || !batch.Counted(e.Frame) {
		return rg, nil
	}
	all, err := e.AppendPositions([]int32{})
	if err != nil {
		return rg, err
	}
	first, _ := slices.BinarySearch(all, int32(rg.From-e.First))
	end, _ := slices.BinarySearch(all, int32(rg.To-e.First))
	r := batch.Read(e.Frame)
	for range first {
		r.Next() // the validator has checked the frame
	}
	rg.positions, rg.all, rg.first, rg.position = all[first:end], all, first, &r
	return rg, nil
}

// Len is the number of items.
func (rg Range) Len() int {
	if rg.positions != nil {
		return len(rg.positions)
	}
	return int(rg.To - rg.From)
}

// offset returns the offset of the i-th item.
func (rg Range) offset(i int) int64 {
	if rg.positions != nil {
		return rg.Entry.First + int64(rg.positions[i])
	}
	return rg.From + int64(i)
}

// border returns the offset at which the offsets begin that are delivered with the i-th item, or their
// end for the number of items.
func (rg Range) border(i int) int64 {
	switch {
	case rg.positions == nil:
		return rg.From + int64(i)
	case i == 0:
		return rg.From
	case i == len(rg.positions):
		return rg.To
	case rg.positions[i-1] == rg.positions[i]: // between two items of one offset
		return rg.offset(i)
	}
	return rg.offset(i-1) + 1
}

// Reader reads the items. It reads none if Entry.Lost is set: then each item is that failure.
func (rg Range) Reader() batch.Reader {
	if rg.position != nil {
		return *rg.position
	}
	r := batch.Read(rg.Entry.Frame)
	for at := rg.Entry.First; at < rg.From && rg.Entry.Lost == nil; at++ {
		r.Next() // the validator has checked the frame
	}
	return r
}

// split splits the range behind its first n items.
func (rg Range) split(n int) (head, rest Range) {
	head, rest = rg, rg
	head.To = rg.border(n)
	rest.From = head.To
	if rg.positions != nil {
		head.positions, rest.positions, rest.first = rg.positions[:n:n], rg.positions[n:], rg.first+n
	}
	if n > 0 && n < rg.Len() && rg.Entry.Lost == nil {
		r := rg.Reader()
		for range n {
			r.Next()
		}
		rest.position = &r
	}
	return head, rest
}

// fail replaces each item by a failure.
func (rg *Range) fail(why *batch.Failure) {
	e := *rg.Entry
	e.Frame, e.Lost = nil, why
	rg.Entry = &e
}

// An Origin identifies the items of a range. It refers to no frame.
type Origin struct {
	Source    string // its name in the scatter
	first     int64  // offset of the first item, or of the first position
	child     bool   // all items are at that offset
	positions []int32
	tickets   []Ticket
}

// Origin returns the origin of the items of the range.
func (rg Range) Origin() *Origin {
	source, _ := broker.Root(rg.Entry.Source)
	if broker.IsChild(rg.Entry.Source) {
		_, at := broker.Ancestor(rg.Entry.Source, 0)
		return &Origin{Source: source, first: at, child: true, tickets: rg.tickets}
	}
	if rg.positions != nil {
		return &Origin{Source: source, first: rg.Entry.First, positions: rg.positions, tickets: rg.tickets}
	}
	return &Origin{Source: source, first: rg.From, tickets: rg.tickets}
}

// Offset returns the offset of the i-th item.
func (o *Origin) Offset(i int) int64 {
	switch {
	case o.child:
		return o.first
	case o.positions != nil:
		return o.first + int64(o.positions[i])
	}
	return o.first + int64(i)
}

// Ticket returns the ticket of the i-th item, nil if items are acknowledged in their order.
func (o *Origin) Ticket(i int) *Ticket {
	if o == nil || o.tickets == nil {
		return nil
	}
	return &o.tickets[i]
}
