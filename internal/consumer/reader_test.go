package consumer

import (
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestReadsAdaptToTheSizeOfEntries(t *testing.T) {
	t.Parallel()
	r := reader{count: firstEntries}
	for range 10 {
		r.adapt(make([]broker.Entry, r.count))
	}
	if r.count != maxEntries {
		t.Errorf("%d entries after full reads, not %d", r.count, maxEntries)
	}
	large := broker.Entry{Batch: batch.Batch{Frame: make([]byte, readBytes+1)}}
	for range 10 {
		r.adapt([]broker.Entry{large})
	}
	if r.count != 1 {
		t.Errorf("%d entries after large reads", r.count)
	}
	r.count = firstEntries
	if r.adapt(make([]broker.Entry, firstEntries-1)); r.count != firstEntries {
		t.Errorf("%d entries after a read that is not full", r.count)
	}
}

func TestEachEntryIsReturnedOnceUntilItIsDeleted(t *testing.T) {
	t.Parallel()
	r := reader{returned: map[string]bool{}}
	unseen := func(deleted ...string) int {
		return len(r.unseen([]broker.Entry{{Ref: broker.Ref{ID: "1-0"}}, {Ref: broker.Ref{ID: "2-0"}}}, deleted))
	}
	if n := unseen(); n != 2 {
		t.Errorf("%d of 2 entries are new", n)
	}
	if n := unseen(); n != 0 {
		t.Errorf("%d entries are new again", n)
	}
	if n := unseen("1-0"); n != 1 {
		t.Errorf("%d entries are new after one was deleted", n)
	}
}
