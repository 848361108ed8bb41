package consumer

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

func TestNackedItemIsHandedOutWithANewTicket(t *testing.T) {
	t.Parallel()
	tr, rg := tracked(t, 3, true)
	ticket := rg.Origin().Ticket(1)
	ticket.Nack(0)
	ticket.Nack(0)
	ticket.Ack()
	nacks := tr.takeNacks()
	if len(nacks) != 1 || nacks[0].dead != nil {
		t.Fatalf("given back: %+v", nacks)
	}
	if again, wait, last := tr.nextDue(); again.Len() != 0 || wait != 0 || last {
		t.Errorf("handed out before it is written: %+v, %v, %v", again, wait, last)
	}
	tr.scheduleNacks(nacks)
	again, _, _ := tr.nextDue()
	if again.From != 1 || again.To != 2 || again.Origin().Ticket(0).Deliveries() != 2 {
		t.Errorf("handed out again: [%d,%d)", again.From, again.To)
	}
	r := again.Reader()
	if item, failed, ok := r.Next(); string(item) != "1" || failed || !ok {
		t.Errorf("item %q, failed %v, %v", item, failed, ok)
	}
	rg.Origin().Ticket(0).Ack()
	rg.Origin().Ticket(2).Ack()
	again.Origin().Ticket(0).Ack()
	tr.end()
	if entries, marks, _ := tr.take(); len(entries) != 1 || len(marks) != 1 || marks[0].Low != 3 || len(marks[0].Settled) != 1 {
		t.Errorf("acknowledged: entries %v, marks %+v", entries, marks)
	}
	if _, _, last := tr.nextDue(); !last {
		t.Error("an item can still be given back")
	}
}

func TestItemGivenBackTooOftenIsADeadLetter(t *testing.T) {
	t.Parallel()
	tr, rg := tracked(t, 3, true)
	tr.deliveries.limit = 1
	rg.Origin().Ticket(2).Nack(time.Hour)
	nacks := tr.takeNacks()
	if len(nacks) != 1 || nacks[0].dead == nil {
		t.Fatalf("given back: %+v", nacks)
	}
	r := batch.Read(nacks[0].frame())
	if item, failed, ok := r.Next(); string(item) != "2" || failed || !ok {
		t.Errorf("the dead letter has the item %q, failed %v, %v", item, failed, ok)
	}
	tr.scheduleNacks(nacks)
	if failure, _, _ := tr.nextDue(); failure.Len() != 1 || failure.Entry.Lost == nil || failure.Entry.Lost.Code != batch.CodeRejected {
		t.Errorf("handed out instead of it: %+v", failure)
	}
}

func TestNackedItemsAreSortedByTheirTimes(t *testing.T) {
	t.Parallel()
	q, now := newNackQueue(), time.Now()
	for offset, delay := range []time.Duration{3, 1, 2, 3, 0} {
		q.schedule(nack{index: offset, due: now.Add(delay)})
	}
	for i := 1; i < len(q.due); i++ {
		if q.due[i].due.Before(q.due[i-1].due) {
			t.Errorf("item %d is due before item %d", q.due[i].index, q.due[i-1].index)
		}
	}
}
