package edge

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Items that come one by one share acknowledgements, and the last ones do not wait
// long for more.
func TestItemsThatComeOneByOneShareAcknowledgements(t *testing.T) {
	inBubble(t, func(t *testing.T, w world) {
		q := w.declare(t, broker.Queue{Name: "q"})
		s, r := w.sender(t, "s", q, 0), w.receive(t, "q", ReceiverOptions{})
		const n, every = 200, ackPace / 5
		for i := range int64(n) {
			if err := s.Send(t.Context(), texts(int(i)+1, 10)[i:]); err != nil {
				t.Fatal(err)
			}
			r.item(t)
			r.Delivered(1)
			<-time.After(every)
		}
		<-time.After(ackPace)
		synctest.Wait()
		acks, err := w.raw.HGet(t.Context(), w.key("m:q"), "acks").Int()
		if most := n/(ackMany-1) + 2; err != nil || acks > most || acks < n/ackEntries {
			t.Errorf("%d acknowledgements of %d items that came every %v, %v", acks, n, every, err)
		}
		if left := w.raw.XLen(t.Context(), w.key("q:q")).Val(); left != 0 {
			t.Errorf("%d items are delivered and still there", left)
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// A flow in which each item waits for the acknowledgement of the one before goes on
// at once: only now and then the next one is not expected.
func TestAnAcknowledgementThatIsWaitedForComesAtOnce(t *testing.T) {
	for name, overflow := range map[string]broker.OverflowPolicy{"waits": broker.OverflowBlock, "drops": broker.OverflowDropNewest} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w world) {
				q := w.declare(t, broker.Queue{Name: "q"})
				s, _, err := w.c.Source(t.Context(), "s", q, 1)
				if err != nil {
					t.Fatal(err)
				}
				s.Overflow = overflow
				r := w.receive(t, "q", ReceiverOptions{})
				synctest.Wait()
				const n = 3 * ackEager
				refused, dropped := 0, int64(0)
				for at, b := range texts(n, 10) {
					got, err := w.c.Scatter(t.Context(), s, "x1", 1, []broker.Parcel{{Batch: b}})
					if err != nil {
						t.Fatal(err)
					}
					if got.Full {
						refused++
						<-time.After(ackPace)
						synctest.Wait()
						got, err = w.c.Scatter(t.Context(), s, "x1", 1, []broker.Parcel{{Batch: b}})
					} else if all, _ := w.raw.HGet(t.Context(), w.key("m:q"), "dropped").Int64(); all > dropped {
						refused, dropped = refused+1, all
						<-time.After(ackPace)
					}
					if err != nil || got.Stored != int64(at)+1 {
						t.Fatalf("stored %+v of %d, %v", got, at+1, err)
					}
					r.item(t) // what was dropped is a failure in its place
					r.Delivered(1)
					synctest.Wait()
				}
				if most := n/ackEager + 1; refused > most {
					t.Errorf("%d of %d items had to wait or were dropped, more than %d", refused, n, most)
				}
				r.cancel()
				_ = r.ended(t)
			})
		})
	}
}

// Who ends a gather while it waits for more to acknowledge hears why it ended, and
// what was delivered is acknowledged all the same.
func TestAGatherThatEndsWhileItRestsSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, w world) {
		q := w.declare(t, broker.Queue{Name: "q"})
		s := w.sender(t, "s", q, 0)
		r, err := Receive(t.Context(), w.c, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for i := range 2 {
			if err := s.Send(t.Context(), texts(i+1, 10)[i:]); err != nil {
				t.Fatal(err)
			}
			<-r.Pieces()
			r.Delivered(1)
			synctest.Wait() // the first one is acknowledged at once, the second one rests
		}
		why := errors.New("enough")
		end(why)
		r.Left()
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("it ended by %v", err)
		}
		if left := w.raw.XLen(t.Context(), w.key("q:q")).Val(); left != 0 {
			t.Errorf("%d items are delivered and still there", left)
		}
	})
}
