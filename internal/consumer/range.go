package consumer

import (
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A Range is the items [From, To) of an entry, to be delivered.
type Range struct {
	Entry    *broker.Entry
	From, To int64
	Notice   bool // it reports an event of a source, as one failed item without an offset

	undelivered *int64        // number of items of the entry that are not delivered; its ranges share it
	heldBytes   int           // bytes of its frame that the order counts while the range waits
	tickets     []Ticket      // one for each item if they are acknowledged one by one, otherwise nil
	position    *batch.Reader // stands before the item From; nil: reading starts at the first item of the entry
}

// newNotice returns a Range that reports an event of a source.
func newNotice(source, code, message string) Range {
	return Range{
		Entry: &broker.Entry{Batch: batch.Batch{Source: source, N: 1, Lost: &batch.Failure{Code: code, Message: message}}},
		To:    1, Notice: true,
	}
}

// Len is the number of items.
func (rg Range) Len() int { return int(rg.To - rg.From) }

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
	head.To = rg.From + int64(n)
	rest.From = head.To
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
	Source  string // its name in the scatter
	First   int64  // offset of the first item
	tickets []Ticket
}

// Origin returns the origin of the items of the range.
func (rg Range) Origin() *Origin {
	source, _ := broker.Root(rg.Entry.Source)
	return &Origin{source, rg.From, rg.tickets}
}

// Ticket returns the ticket of the i-th item, nil if items are acknowledged in their order.
func (o *Origin) Ticket(i int) *Ticket {
	if o == nil || o.tickets == nil {
		return nil
	}
	return &o.tickets[i]
}
