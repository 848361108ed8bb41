package consumer

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// tracked returns a tracker that knows an entry of n items as handed out.
func tracked(t *testing.T, n int64, manual bool) (*tracker, Range) {
	t.Helper()
	tr, err := newTracker(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.manual.enabled = manual
	entry := &broker.Entry{Ref: broker.Ref{ID: "1-0"}, Batch: brokertest.Numbers("s", 0, n)}
	rg, _, err := tr.add(t.Context(), Range{Entry: entry, To: n, undelivered: &n})
	if err != nil {
		t.Fatal(err)
	}
	return tr, rg
}

func TestDeliverMovesTheMarkAndFinishesTheEntry(t *testing.T) {
	t.Parallel()
	tr, _ := tracked(t, 5, false)
	tr.end()
	tr.deliver(3)
	if entries, marks, last := tr.take(); len(entries) != 0 || len(marks) != 1 || marks[0].Low != 3 || last {
		t.Errorf("after 3 of 5 items: entries %v, marks %+v, last %v", entries, marks, last)
	}
	tr.deliver(2)
	if entries, marks, last := tr.take(); len(entries) != 1 || len(marks) != 1 || marks[0].Low != 5 || !last {
		t.Errorf("after 5 of 5 items: entries %v, marks %+v, last %v", entries, marks, last)
	}
}

func TestRestoredAcknowledgementIsTakenAgain(t *testing.T) {
	t.Parallel()
	tr, _ := tracked(t, 5, false)
	tr.deliver(5)
	entries, marks, _ := tr.take()
	if again, moved, _ := tr.take(); len(again)+len(moved) != 0 {
		t.Errorf("taken twice: %v, %+v", again, moved)
	}
	tr.restore(entries, marks)
	if again, moved, _ := tr.take(); len(again) != 1 || len(moved) != 1 || moved[0].Low != 5 {
		t.Errorf("taken after the restore: %v, %+v", again, moved)
	}
}

func TestSourceRetiresWhenItIsDeliveredToItsEnd(t *testing.T) {
	t.Parallel()
	tr, _ := tracked(t, 5, false)
	tr.deliver(4)
	tr.retire("s", 5)
	if _, marks, _ := tr.take(); len(marks) != 1 || marks[0].Retire {
		t.Errorf("marks before the end: %+v", marks)
	}
	tr.deliver(1)
	entries, marks, _ := tr.take()
	if len(marks) != 1 || !marks[0].Retire {
		t.Fatalf("marks at the end: %+v", marks)
	}
	tr.confirm(entries, marks)
	if retired, deleted := tr.takeRetired(), tr.takeDeleted(); len(retired) != 1 || len(deleted) != 1 {
		t.Errorf("retired %q, deleted %q", retired, deleted)
	}
}

func TestDeliverDoesNotAllocate(t *testing.T) {
	const runs = 1000
	tr, _ := tracked(t, 2*runs, false)
	if n := testing.AllocsPerRun(runs, func() { tr.deliver(1) }); n > 0 {
		t.Errorf("%v allocations for each item", n)
	}
}
