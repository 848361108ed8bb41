package consumer

import (
	"errors"
	"testing"
)

// awaited acknowledges an item of a new tracker and returns the channel that await has for it.
func awaited(t *testing.T) (*tracker, *Ticket, <-chan error) {
	t.Helper()
	tr, rg := tracked(t, 3, true)
	ticket := rg.Origin().Ticket(0)
	ticket.Ack()
	written, err := tr.await(ticket)
	if written == nil || err != nil {
		t.Fatalf("an acknowledgement that is not written: %v, %v", written, err)
	}
	return tr, ticket, written
}

func TestAwaitEndsWhenTheMarkIsWritten(t *testing.T) {
	t.Parallel()
	tr, ticket, written := awaited(t)
	entries, marks, _ := tr.take()
	tr.restore(entries, marks)
	entries, marks, _ = tr.take()
	if len(written) != 0 {
		t.Error("it ends before the mark is written")
	}
	tr.confirm(entries, marks)
	if err := <-written; err != nil {
		t.Error(err)
	}
	if written, err := tr.await(ticket); written != nil || err != nil {
		t.Errorf("a written acknowledgement: %v, %v", written, err)
	}
}

func TestAwaitEndsWithTheGather(t *testing.T) {
	t.Parallel()
	tr, _, written := awaited(t)
	why := errors.New("why")
	tr.close(why)
	if err := <-written; !errors.Is(err, ErrOver) || !errors.Is(err, why) {
		t.Error(err)
	}
}
