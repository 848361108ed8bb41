package edge

import "context"

// maxByHand is how many items may be handed out and not acknowledged, where
// each is acknowledged by itself: as many ranges a mark may have.
const maxByHand = 1 << 14

// handed is what was handed out to be acknowledged item by item. The lock of
// acks guards it.
type handed struct {
	on    bool // set once
	items int  // not acknowledged
	fewer chan struct{}
}

// A Ticket is one item that was handed out, to be acknowledged by itself.
type Ticket struct {
	of    *ticketed
	at    int64
	acked bool
}

// ticketed is a piece whose items have tickets.
type ticketed struct {
	acks  *acks
	piece Piece
}

// Ticket is that of the i-th item, nil where items are delivered in their order
// and for a notice.
func (p Piece) Ticket(i int) *Ticket {
	if p.tickets == nil {
		return nil
	}
	return &p.tickets[i]
}

// Follows reports whether the item of the ticket comes next behind that of another one, in the same
// piece.
func (t *Ticket) Follows(before *Ticket) bool {
	return t != nil && t.of == before.of && t.at == before.at+1
}

// Ack takes the item for delivered. Any goroutine may call it, again and also
// after the Receiver has ended.
func (t *Ticket) Ack() { t.AckRun(1) }

// AckRun is Ack of n items: that of the ticket and those that follow it in its piece.
func (t *Ticket) AckRun(n int) {
	a, p := t.of.acks, t.of.piece
	tickets := p.tickets[t.at-p.From:][:n]
	a.mu.Lock()
	for len(tickets) > 0 {
		n := 0
		for n < len(tickets) && !tickets[n].acked {
			tickets[n].acked = true
			n++
		}
		if n > 0 {
			a.byHand.items -= n
			a.mark(p, tickets[0].at, tickets[0].at+int64(n))
		}
		tickets = tickets[min(n+1, len(tickets)):]
	}
	a.ring()
	a.mu.Unlock()
	select {
	case a.byHand.fewer <- struct{}{}:
	default:
	}
}

// handTickets gives each item of a piece a ticket, and waits while too many are
// not acknowledged.
func (a *acks) handTickets(ctx context.Context, p Piece) (Piece, error) {
	if p.Notice {
		return p, nil
	}
	for !a.admit(p.Len()) {
		select {
		case <-a.byHand.fewer:
		case <-ctx.Done():
			return p, context.Cause(ctx)
		}
	}
	p.tickets = make([]Ticket, p.Len())
	of := &ticketed{a, p}
	for i := range p.tickets {
		p.tickets[i] = Ticket{of: of, at: p.From + int64(i)}
	}
	return p, nil
}

// admit counts n more items as handed out, if so many may be.
func (a *acks) admit(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byHand.items > 0 && a.byHand.items+n > maxByHand {
		return false
	}
	a.byHand.items += n
	return true
}
