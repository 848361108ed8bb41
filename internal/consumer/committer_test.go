package consumer

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// Items that arrive one by one share acknowledgements, and the last ones are acknowledged after the
// delay.
func TestSingleItemsShareAcknowledgements(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		q := w.Queue(t, broker.Queue{Name: "q"})
		s, r := sender(t, w, "s", q), receive(t, w, "q", ReceiverOptions{})
		const n, every = 200, ackDelay / 5
		for i := range int64(n) {
			if err := s.Send(t.Context(), brokertest.Texts(int(i)+1, 10)[i:]); err != nil {
				t.Fatal(err)
			}
			r.item(t)
			r.Delivered(1)
			<-time.After(every)
		}
		<-time.After(ackDelay)
		synctest.Wait()
		acks, err := w.Raw.HGet(t.Context(), w.Key("m:q"), "acks").Int()
		if most := n/(ackMany-1) + 2; err != nil || acks > most || acks < n/ackEntries {
			t.Errorf("%d acknowledgements of %d items that came every %v, %v", acks, n, every, err)
		}
		if left := w.Raw.XLen(t.Context(), w.Key("q:q")).Val(); left != 0 {
			t.Errorf("%d delivered items are still in the queue", left)
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// In a flow in which each item waits for the acknowledgement of the item before it,
// acknowledgements are written without a delay. At most one in ackEager of them is delayed.
func TestAwaitedAcknowledgementsAreWrittenAtOnce(t *testing.T) {
	for name, overflow := range map[string]broker.OverflowPolicy{"waits": broker.OverflowBlock, "drops": broker.OverflowDropNewest} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w brokertest.World) {
				q := w.Queue(t, broker.Queue{Name: "q"})
				s, _, err := w.C.Source(t.Context(), "s", q, 1)
				if err != nil {
					t.Fatal(err)
				}
				s.Overflow = overflow
				r := receive(t, w, "q", ReceiverOptions{})
				synctest.Wait()
				const n = 3 * ackEager
				refused, dropped := 0, int64(0)
				for at, b := range brokertest.Texts(n, 10) {
					got, err := w.C.Scatter(t.Context(), s, "x1", broker.Window{Items: 1}, []broker.Parcel{{Batch: b}})
					if err != nil {
						t.Fatal(err)
					}
					if got.Full {
						refused++
						<-time.After(ackDelay)
						synctest.Wait()
						got, err = w.C.Scatter(t.Context(), s, "x1", broker.Window{Items: 1}, []broker.Parcel{{Batch: b}})
					} else if all, _ := w.Raw.HGet(t.Context(), w.Key("m:q"), "dropped").Int64(); all > dropped {
						refused, dropped = refused+1, all
						<-time.After(ackDelay)
					}
					if err != nil || got.Stored != int64(at)+1 {
						t.Fatalf("stored %+v of %d, %v", got, at+1, err)
					}
					r.item(t) // a dropped item is a failure in its place
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

// A gather ends while the committer waits for more items. Run returns the reason, and the delivered
// items are acknowledged.
func TestGatherThatEndsDuringTheDelayReturnsTheReason(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		q := w.Queue(t, broker.Queue{Name: "q"})
		s := sender(t, w, "s", q)
		r, err := Receive(t.Context(), w.C, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for i := range 2 {
			if err := s.Send(t.Context(), brokertest.Texts(i+1, 10)[i:]); err != nil {
				t.Fatal(err)
			}
			<-r.Pieces()
			r.Delivered(1)
			synctest.Wait() // the first one is acknowledged at once, the second one after the delay
		}
		why := errors.New("enough")
		end(why)
		r.Left()
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("it ended by %v", err)
		}
		if left := w.Raw.XLen(t.Context(), w.Key("q:q")).Val(); left != 0 {
			t.Errorf("%d delivered items are still in the queue", left)
		}
	})
}
