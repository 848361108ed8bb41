package consumer

import (
	"container/list"
	"context"
	"errors"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// MaxManual is how many items may be handed out and not acknowledged at most, if each is
// acknowledged by itself: a mark may have that many ranges.
const MaxManual = 1 << 14

// ErrGivenBack says that an item cannot be acknowledged, since it was given back before.
var ErrGivenBack = errors.New("the result was given back by Nack")

// handed counts the items that are acknowledged one by one. The lock of acks guards it.
type handed struct {
	on    bool          // set once
	most  int           // items that may be handed out and not acknowledged
	items int           // handed out and not acknowledged
	fewer chan struct{} // rung when items gets less
	open  list.List     // of *ticketed with such items, in the order in which they were handed out
	last  int64         // order of the last one

	maxDeliveries int64         // after which an item becomes a dead letter; 0: never
	nacked        []nack        // not yet written
	due           []nack        // written, by the time when they are due
	again         chan struct{} // rung when due changes, and when no item will be given back any more
	memory        *batch.Memory // for the frames of pieces that are acknowledged whole; nil: values refer to them
}

// A Ticket is one delivery of an item, to be acknowledged or given back by itself.
type Ticket struct {
	of         *ticketed
	at         int64
	deliveries int32 // with this one
	state      ticketState
}

type ticketState uint8

const (
	handedOut ticketState = iota
	acked
	givenBack
)

// ticketed is a piece whose items have tickets.
type ticketed struct {
	acks  *acks
	piece Range
	left  int           // items that are neither acknowledged nor given back
	place *list.Element // among the pieces with such items
	order int64         // of the piece, as it was handed out
}

// An Origin says where the items of a piece come from. It refers to no frame.
type Origin struct {
	Source  string // as it was called where it was scattered
	First   int64  // offset of the first item
	tickets []Ticket
}

// Origin is that of the items of the piece.
func (p Range) Origin() *Origin {
	source, _ := broker.Root(p.Entry.Source)
	return &Origin{source, p.From, p.tickets}
}

// Ticket is that of the i-th item, nil if items are delivered in their order.
func (o *Origin) Ticket(i int) *Ticket {
	if o == nil || o.tickets == nil {
		return nil
	}
	return &o.tickets[i]
}

// Deliveries is how often the item was handed out, with this time: 1 if it was never given back.
func (t *Ticket) Deliveries() int { return int(t.deliveries) }

// Ack takes the item for delivered. Any goroutine may call it, again and also
// after the Receiver has ended.
func (t *Ticket) Ack() { t.AckRun(1) }

// AckRun is Ack of n items: that of the ticket and those that follow it in its piece.
func (t *Ticket) AckRun(n int) {
	a := t.of.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over == nil {
		t.of.ack(t.at, t.at+int64(n))
		a.acked()
	}
}

// AckThrough is Ack of the item and of all that were handed out before it.
func (t *Ticket) AckThrough() {
	a := t.of.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over != nil {
		return
	}
	for at := a.manual.open.Front(); at != nil; {
		of := at.Value.(*ticketed)
		if at = at.Next(); of.order > t.of.order {
			break
		}
		to := of.piece.To
		if of == t.of {
			to = t.at + 1
		}
		of.ack(of.piece.From, to)
	}
	a.acked()
}

// ack takes the items of [from, to) for delivered that are handed out.
func (of *ticketed) ack(from, to int64) {
	tickets := of.piece.tickets[from-of.piece.From : to-of.piece.From]
	for len(tickets) > 0 {
		n := 0
		for n < len(tickets) && tickets[n].state == handedOut {
			tickets[n].state = acked
			n++
		}
		if n > 0 {
			of.acks.manual.items -= n
			of.acks.mark(of.piece, tickets[0].at, tickets[0].at+int64(n))
			of.settle(n)
		}
		tickets = tickets[min(n+1, len(tickets)):]
	}
}

// settle counts n items as acknowledged or given back.
func (of *ticketed) settle(n int) {
	if of.left -= n; of.left == 0 {
		of.acks.manual.open.Remove(of.place)
	}
}

// acked tells those who wait for acknowledgements.
func (a *acks) acked() {
	a.ring()
	knock(a.manual.fewer)
	if a.ended && a.manual.items == 0 {
		knock(a.manual.again)
	}
}

// AckWait is Ack, and waits until Redis has it.
func (t *Ticket) AckWait(ctx context.Context) error {
	t.Ack()
	a := t.of.acks
	written, err := a.await(t)
	if written == nil {
		return err
	}
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// knock wakes the receiver of a channel with room for one.
func knock(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// newTickets gives items at the beginning of a piece tickets, as many as may be handed out, and
// waits while that is none.
func (a *acks) newTickets(ctx context.Context, p Range) (Range, error) {
	of := &ticketed{acks: a}
	first := Ticket{of: of, at: p.From, deliveries: 1}
	if p.Notice {
		first.state = acked
	}
	for n := 0; !p.Notice; {
		if n = a.admit(p.Len()); n > 0 {
			p.To = p.From + int64(n)
			break
		}
		select {
		case <-a.manual.fewer:
		case <-ctx.Done():
			return p, context.Cause(ctx)
		}
	}
	p.tickets = make([]Ticket, p.Len())
	for i := range p.tickets {
		p.tickets[i] = first
		first.at++
	}
	p.tickets[0].deliveries += int32(a.deliveries(p)) // an item that was given back is a piece by itself
	of.piece = p
	a.mu.Lock()
	defer a.mu.Unlock()
	if of.order = a.manual.last; !p.Notice {
		a.open(of)
	}
	return p, nil
}

// open puts a piece behind those that have items which are neither acknowledged nor given back.
func (a *acks) open(of *ticketed) {
	a.manual.last++
	of.left, of.order = of.piece.Len(), a.manual.last
	of.place = a.manual.open.PushBack(of)
}

// reuse lets frames of pieces be used again once all their items are acknowledged.
func (a *acks) reuse(memory *batch.Memory) {
	a.mu.Lock()
	a.manual.memory = memory
	a.mu.Unlock()
}

// admit counts up to n more items as handed out, and returns how many.
func (a *acks) admit(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n = max(0, min(n, a.manual.most-a.manual.items))
	a.manual.items += n
	return n
}
