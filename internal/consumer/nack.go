package consumer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// nacksWritten are written by one call at most.
const nacksWritten = 100

// A nack is an item that was given back.
type nack struct {
	piece      Range // that it was handed out in
	at         int64
	deliveries int64
	due        time.Time // to be handed out again
	why        *batch.Failure
}

func (n nack) item() broker.Item { return broker.Item{Source: n.piece.Entry.Source, Offset: n.at} }

// alone is the piece of the item.
func (n nack) alone() Range {
	_, p := n.piece.cut(int(n.at - n.piece.From))
	p.To = n.at + 1
	return p
}

// frame has the item alone.
func (n nack) frame() []byte {
	var b batch.Builder
	if lost := n.piece.Entry.Lost; lost != nil {
		b.Failure(*lost)
		return b.Take()
	}
	r := n.alone().Reader()
	item, failed, _ := r.Next()
	if into := append(b.Begin(), item...); failed {
		b.EndFailure(into)
	} else {
		b.End(into)
	}
	return b.Take()
}

// Nack gives the item back: it is handed out again after delay, with another ticket. Any goroutine
// may call it; it has no effect if the item was acknowledged or given back.
func (t *Ticket) Nack(delay time.Duration) {
	a := t.of.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over != nil || t.state != handedOut {
		return
	}
	t.state = givenBack
	t.of.settle(1)
	a.manual.nacked = append(a.manual.nacked, nack{
		piece: t.of.piece, at: t.at, deliveries: int64(t.deliveries), due: time.Now().Add(max(0, delay)),
	})
	a.ring()
}

// takeNacks returns items to note as given back. One that was delivered too often gets its failure.
func (a *acks) takeNacks() []nack {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(len(a.manual.nacked), nacksWritten)
	nacks := slices.Clone(a.manual.nacked[:n])
	a.manual.nacked = a.manual.nacked[n:]
	for i, n := range nacks {
		if most := a.manual.maxDeliveries; most > 0 && n.deliveries >= most && a.counts[n.item()] >= 0 {
			nacks[i].why = rejected(n.piece.Entry.Queue, n.deliveries)
		}
	}
	return nacks
}

// rejected is the failure of an item that was delivered too often.
func rejected(queue string, deliveries int64) *batch.Failure {
	return &batch.Failure{
		Code: batch.CodeRejected, Stage: queue, Attempts: int(deliveries),
		Message: fmt.Sprintf("its consumer has given it back %d times; it is a dead letter", deliveries),
	}
}

// restoreNacks takes back deliveries that could not be stored.
func (a *acks) restoreNacks(nacks []nack) {
	a.mu.Lock()
	a.manual.nacked = append(nacks, a.manual.nacked...)
	a.mu.Unlock()
}

// schedule lets items that were noted be handed out again when they are due, dead letters at once.
func (a *acks) schedule(nacks []nack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range nacks {
		if a.counts[n.item()] >= 0 {
			a.counts[n.item()] = n.deliveries
		}
		if n.why != nil {
			a.counts[n.item()], n.due = -n.deliveries, time.Now()
		}
		due := a.manual.due
		at := len(due)
		if at > 0 && due[at-1].due.After(n.due) {
			at, _ = slices.BinarySearchFunc(due, n, func(a, b nack) int { return a.due.Compare(b.due) })
		}
		a.manual.due = slices.Insert(due, at, n)
	}
	knock(a.manual.again)
}

// nextDue returns a piece that is due, or how long to wait for one, 0 for any time. done: no item will be
// given back any more.
func (a *acks) nextDue() (p Range, wait time.Duration, done bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.manual.due) == 0 {
		return Range{}, 0, a.ended && a.manual.items == 0
	}
	n := a.manual.due[0]
	if wait = time.Until(n.due); wait > 0 {
		return Range{}, wait, false
	}
	a.manual.due = a.manual.due[1:]
	p = n.alone()
	if n.why != nil {
		p.lose(n.why)
	}
	of := &ticketed{acks: a}
	p.tickets = []Ticket{{of: of, at: n.at, deliveries: int32(n.deliveries) + 1}}
	of.piece = p
	a.open(of)
	return p, 0, false
}

// redeliver hands out results that were given back, until there will be no more.
func (r *Receiver) redeliver(ctx context.Context) error {
	for {
		p, wait, done := r.acks.nextDue()
		if done {
			return nil
		}
		if p.Len() > 0 {
			if err := r.send(ctx, p); err != nil {
				return err
			}
			continue
		}
		if err := r.awaitDue(ctx, wait); err != nil {
			return err
		}
	}
}

// awaitDue waits for a time, if it is not 0, or until it may be another one.
func (r *Receiver) awaitDue(ctx context.Context, wait time.Duration) error {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-r.acks.manual.again:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// note writes that items were given back.
func (r *Receiver) note(ctx context.Context) (some bool, err error) {
	nacks := r.acks.takeNacks()
	if len(nacks) == 0 {
		return false, nil
	}
	items := make([]broker.Nacked, len(nacks))
	for i, n := range nacks {
		items[i] = broker.Nacked{Item: n.item(), Deliveries: n.deliveries, Dead: n.why}
		if n.why != nil {
			items[i].Frame = n.frame()
		}
	}
	if err := r.c.Nack(ctx, r.g, items); err != nil {
		r.acks.restoreNacks(nacks)
		return true, err
	}
	r.acks.schedule(nacks)
	return true, nil
}

// apart cuts a piece behind its first item, if that was given back before, or before the first one
// that was. An item that is a dead letter becomes a failure.
func (a *acks) apart(p Range) Range {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.counts) == 0 || p.Notice {
		return p
	}
	for at := p.From; at < p.To; at++ {
		n, found := a.counts[broker.Item{Source: p.Entry.Source, Offset: at}]
		switch {
		case found && at > p.From:
			p.To = at
		case found:
			p.To = at + 1
			if n < 0 {
				p.lose(rejected(p.Entry.Queue, -n))
			}
		}
	}
	return p
}

// deliveries is how often the first item of a piece was delivered before.
func (a *acks) deliveries(p Range) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.counts[broker.Item{Source: p.Entry.Source, Offset: p.From}]
	return max(n, -n)
}

// settle lets the deliveries of items that were acknowledged be forgotten. The lock is held.
func (a *acks) settle(source string, from, to int64) {
	for at := from; at < to && len(a.counts) > 0; at++ {
		item := broker.Item{Source: source, Offset: at}
		if _, found := a.counts[item]; found {
			delete(a.counts, item)
			a.settled[source] = append(a.settled[source], at)
		}
	}
}

// takeSettled returns at most n offsets of a source whose deliveries are forgotten. The lock is held.
func (a *acks) takeSettled(source string, n int) []int64 {
	all := a.settled[source]
	some := all[:min(n, len(all))]
	if a.settled[source] = all[len(some):]; len(some) == len(all) {
		delete(a.settled, source)
	}
	return some
}
