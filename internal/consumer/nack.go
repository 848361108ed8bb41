package consumer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// maxNacks is how many items given back one call writes.
const maxNacks = 100

// A nack is an item that was given back.
type nack struct {
	rg         Range // in which it was handed out
	index      int   // in the range
	deliveries int64
	due        time.Time      // it is handed out again
	dead       *batch.Failure // why it becomes a dead letter, nil if it does not
}

func (n nack) item() broker.Item { return itemAt(n.rg, n.index) }

// itemAt returns the i-th item of a range.
func itemAt(rg Range, i int) broker.Item {
	if source, offset, grouped := rg.inGroup(i); grouped {
		return broker.Item{Source: source, Offset: offset}
	}
	return broker.Item{Source: rg.Entry.Source, Offset: rg.offset(i)}
}

// single returns the range of the item.
func (n nack) single() Range {
	_, rg := n.rg.split(n.index)
	rg, _ = rg.split(1)
	return rg
}

// frame returns a frame with the item alone.
func (n nack) frame() []byte {
	var b batch.Builder
	if lost := n.rg.Entry.Lost; lost != nil {
		b.Failure(*lost)
		return b.Take()
	}
	r := n.single().Reader()
	item, failed, _ := r.Next()
	if into := append(b.Begin(), item...); failed {
		b.EndFailure(into)
	} else {
		b.End(into)
	}
	return b.Take()
}

// rejected is the failure of an item that was delivered too often.
func rejected(queue string, deliveries int64) *batch.Failure {
	return &batch.Failure{
		Code: batch.CodeRejected, Stage: queue, Attempts: int(deliveries),
		Message: fmt.Sprintf("its consumer has given it back %d times; it is a dead letter", deliveries),
	}
}

// deliveries counts the deliveries of items that were given back and are not acknowledged. The lock
// of the tracker guards it. See broker.Gather.Nacked.
type deliveries struct {
	counts map[broker.Item]int64 // a negative number for a dead letter
	limit  int64                 // an item that is given back after so many is a dead letter; 0: no limit
}

func newDeliveries(nacked map[broker.Item]int64) deliveries {
	counts := maps.Clone(nacked)
	if counts == nil {
		counts = map[broker.Item]int64{}
	}
	return deliveries{counts: counts}
}

func (d *deliveries) empty() bool { return len(d.counts) == 0 }

// count returns how often the first item of a range was delivered and given back.
func (d *deliveries) count(rg Range) int64 {
	n := d.counts[itemAt(rg, 0)]
	return max(n, -n)
}

// isDead reports whether an item is a dead letter already.
func (d *deliveries) isDead(item broker.Item) bool { return d.counts[item] < 0 }

// exhausted reports whether an item that is given back becomes a dead letter by that.
func (d *deliveries) exhausted(n nack) bool {
	return d.limit > 0 && n.deliveries >= d.limit && !d.isDead(n.item())
}

// remove removes the count of an item. It reports whether there was one.
func (d *deliveries) remove(item broker.Item) bool {
	_, found := d.counts[item]
	delete(d.counts, item)
	return found
}

// A nackQueue holds the items that were given back. The lock of the tracker guards it.
type nackQueue struct {
	pending []nack        // not yet written to Redis
	due     []nack        // written, sorted by the time when they are due
	changed chan struct{} // signaled when due changes, and when no item can be given back any more
}

func newNackQueue() nackQueue { return nackQueue{changed: make(chan struct{}, 1)} }

// schedule adds an item that is written.
func (q *nackQueue) schedule(n nack) {
	at := len(q.due)
	if at > 0 && q.due[at-1].due.After(n.due) {
		at, _ = slices.BinarySearchFunc(q.due, n, func(a, b nack) int { return a.due.Compare(b.due) })
	}
	q.due = slices.Insert(q.due, at, n)
}

// Nack gives the item back: it is handed out again after delay, with another ticket. Any goroutine
// may call it. It has no effect if the item was acknowledged or given back before.
func (tk *Ticket) Nack(delay time.Duration) {
	t := tk.open.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil || tk.state != handedOut {
		return
	}
	tk.state = nacked
	tk.open.close(1)
	t.nacks.pending = append(t.nacks.pending, nack{
		rg: tk.open.rg, index: int(tk.index), deliveries: int64(tk.deliveries), due: time.Now().Add(max(0, delay)),
	})
	t.signal()
}

// takeNacks returns items whose return has to be written.
func (t *tracker) takeNacks() []nack {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.nacks.pending), maxNacks)
	taken := slices.Clone(t.nacks.pending[:n])
	t.nacks.pending = t.nacks.pending[n:]
	for i, n := range taken {
		if t.deliveries.exhausted(n) {
			taken[i].dead = rejected(n.rg.Entry.Queue, n.deliveries)
		}
	}
	return taken
}

// restoreNacks takes back items whose return could not be written.
func (t *tracker) restoreNacks(nacks []nack) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nacks.pending = append(nacks, t.nacks.pending...)
}

// scheduleNacks lets items whose return is written be handed out again when they are due, dead
// letters at once.
func (t *tracker) scheduleNacks(nacks []nack) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range nacks {
		item := n.item()
		if !t.deliveries.isDead(item) {
			t.deliveries.counts[item] = n.deliveries
		}
		if n.dead != nil {
			t.deliveries.counts[item], n.due = -n.deliveries, time.Now()
		}
		t.nacks.schedule(n)
	}
	signal(t.nacks.changed)
}

// nextDue returns the range of an item that is due, or how long to wait for one; 0 is without a
// limit. last reports that no item can be given back any more.
func (t *tracker) nextDue() (rg Range, wait time.Duration, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.nacks.due) == 0 {
		return Range{}, 0, t.ended && t.manual.unacked == 0
	}
	n := t.nacks.due[0]
	if wait = time.Until(n.due); wait > 0 {
		return Range{}, wait, false
	}
	t.nacks.due = t.nacks.due[1:]
	rg = n.single()
	if n.dead != nil {
		rg.fail(n.dead)
	}
	open := &openRange{tracker: t}
	rg.tickets = []Ticket{{open: open, deliveries: int32(n.deliveries) + 1}}
	open.rg = rg
	t.manual.add(open)
	return rg, 0, false
}

// separateNacked cuts a range behind its first item if that was given back before, otherwise before
// the first item that was. A dead letter becomes a failure.
func (t *tracker) separateNacked(rg Range) Range {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.deliveries.empty() || rg.Notice {
		return rg
	}
	for i := 0; i < rg.Len(); i++ {
		n, found := t.deliveries.counts[itemAt(rg, i)]
		switch {
		case found && i > 0:
			rg, _ = rg.split(i)
		case found:
			rg, _ = rg.split(1)
			if n < 0 {
				rg.fail(rejected(rg.Entry.Queue, -n))
			}
		}
	}
	return rg
}

// writeNacks writes that items were given back. wrote reports whether there were any.
func (c *committer) writeNacks(ctx context.Context) (wrote bool, err error) {
	nacks := c.tracker.takeNacks()
	if len(nacks) == 0 {
		return false, nil
	}
	items := make([]broker.Nacked, len(nacks))
	for i, n := range nacks {
		items[i] = broker.Nacked{Item: n.item(), Deliveries: n.deliveries, Stamp: n.rg.Entry.Stamp, Dead: n.dead}
		if n.dead != nil {
			items[i].Frame = n.frame()
		}
	}
	if err := c.client.Nack(ctx, c.gather, items); err != nil {
		c.tracker.restoreNacks(nacks)
		return true, err
	}
	c.tracker.scheduleNacks(nacks)
	return true, nil
}

// A redeliverer hands out the items that were given back and are due.
type redeliverer struct {
	tracker *tracker
	output  *output
}

// run hands out items until none can be given back any more.
func (r *redeliverer) run(ctx context.Context) error {
	for {
		rg, wait, last := r.tracker.nextDue()
		if last {
			return nil
		}
		if rg.Len() > 0 {
			if err := r.output.send(ctx, rg); err != nil {
				return err
			}
			continue
		}
		if err := r.wait(ctx, wait); err != nil {
			return err
		}
	}
}

// wait waits for the next item, at most for limit if it is not 0.
func (r *redeliverer) wait(ctx context.Context, limit time.Duration) error {
	var due <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-r.tracker.nacks.changed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
