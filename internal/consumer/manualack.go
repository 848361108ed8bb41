package consumer

import (
	"container/list"
	"context"
	"errors"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/waits"
)

// MaxManual bounds the items that are handed out and not acknowledged, if items are acknowledged
// one by one: the mark of a source may need a range for each of them.
const MaxManual = 1 << 14

var errNacked = errors.New("the result was given back by Nack")

// manual is the mode in which items are acknowledged one by one. The lock of the tracker guards it.
type manual struct {
	program *waits.Clock  // runs while the limit is reached
	enabled bool          // does not change
	limit   int           // most items that are handed out and not acknowledged
	unacked int           // items that are handed out and not acknowledged, also those that were given back
	freed   chan struct{} // signaled when unacked decreases
	open    list.List     // of *openRange, in the order in which they were handed out
	last    int64         // sequence number of the last openRange
	memory  *batch.Memory // for the frames of acknowledged entries; nil while values refer to frames
}

func newManual() manual {
	return manual{program: waits.New(), limit: MaxManual, freed: make(chan struct{}, 1)}
}

// An openRange is a range with items that are neither acknowledged nor given back.
type openRange struct {
	tracker  *tracker
	rg       Range
	left     int // number of such items
	element  *list.Element
	sequence int64
}

// A Ticket is one delivery of an item. It acknowledges the item, or gives it back.
type Ticket struct {
	open       *openRange
	index      int32 // of the item in the range
	deliveries int32 // including this one
	state      ticketState
}

// A ticketState is the state of a delivery:
//
//	state      next
//	handedOut  acked by Ack, AckRun or AckThrough; nacked by Nack
//	acked      -
//	nacked     -: the item is handed out again with another ticket
type ticketState uint8

const (
	handedOut ticketState = iota
	acked
	nacked
)

// Deliveries returns how often the item was handed out, including this time: 1 if it was never
// given back.
func (tk *Ticket) Deliveries() int { return int(tk.deliveries) }

// Ack acknowledges the item. Any goroutine may call it, repeatedly, and also after the Receiver has
// ended.
func (tk *Ticket) Ack() { tk.AckRun(1) }

// AckRun is Ack of n items: that of the ticket and those that follow it in its range.
func (tk *Ticket) AckRun(n int) {
	t := tk.open.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over == nil {
		tk.open.ack(int(tk.index), int(tk.index)+n)
		t.signalAcked()
	}
}

// AckThrough is Ack of the item and of all items that were handed out before it.
func (tk *Ticket) AckThrough() {
	t := tk.open.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil {
		return
	}
	for at := t.manual.open.Front(); at != nil; {
		open := at.Value.(*openRange)
		if at = at.Next(); open.sequence > tk.open.sequence {
			break
		}
		to := open.rg.Len()
		if open == tk.open {
			to = int(tk.index) + 1
		}
		open.ack(0, to)
	}
	t.signalAcked()
}

// ack acknowledges those of the items from the i-th to before the j-th that are handed out. The lock of
// the tracker is held.
func (o *openRange) ack(i, j int) {
	tickets := o.rg.tickets[i:j]
	for len(tickets) > 0 {
		n := 0
		for n < len(tickets) && tickets[n].state == handedOut {
			tickets[n].state = acked
			n++
		}
		if n > 0 {
			o.tracker.manual.unacked -= n
			first := int(tickets[0].index)
			o.tracker.mark(o.rg, first, first+n)
			o.close(n)
		}
		tickets = tickets[min(n+1, len(tickets)):]
	}
}

// close counts n items as acknowledged or given back. The lock of the tracker is held.
func (o *openRange) close(n int) {
	if o.left -= n; o.left == 0 {
		o.tracker.manual.open.Remove(o.element)
	}
}

// signalAcked wakes the goroutines that wait for acknowledgements. The lock is held.
func (t *tracker) signalAcked() {
	t.signal()
	signal(t.manual.freed)
	if t.ended && t.manual.unacked == 0 {
		signal(t.nacks.changed)
	}
}

// addManual registers the first items of a range, as many as may be handed out, and gives each a
// ticket. It blocks until that is at least one item.
func (t *tracker) addManual(ctx context.Context, rg Range) (Range, error) {
	open := &openRange{tracker: t}
	first := Ticket{open: open, deliveries: 1}
	if rg.Notice {
		first.state = acked
	}
	for n := 0; !rg.Notice; {
		if n = t.admit(rg.Len()); n > 0 {
			rg, _ = rg.split(n)
			break
		}
		if err := t.manual.wait(ctx); err != nil {
			return rg, err
		}
	}
	rg.tickets = make([]Ticket, rg.Len())
	for i := range rg.tickets {
		rg.tickets[i] = first
		first.index++
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	rg.tickets[0].deliveries += int32(t.deliveries.count(rg)) // an item that was given back is a range of its own
	open.rg = rg
	if open.sequence = t.manual.last; !rg.Notice {
		t.manual.add(open)
	}
	return rg, nil
}

// wait waits until unacked decreases.
func (m *manual) wait(ctx context.Context) error {
	m.program.Begin()
	defer m.program.End()
	select {
	case <-m.freed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add adds a range behind the others.
func (m *manual) add(open *openRange) {
	m.last++
	open.left, open.sequence = open.rg.Len(), m.last
	open.element = m.open.PushBack(open)
}

// admit counts up to n more items as handed out, and returns how many.
func (t *tracker) admit(n int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n = max(0, min(n, t.manual.limit-t.manual.unacked))
	t.manual.unacked += n
	return n
}

// reuse lets the frame of an entry be used again once all items of the entry are acknowledged.
func (t *tracker) reuse(memory *batch.Memory) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.manual.memory = memory
}
