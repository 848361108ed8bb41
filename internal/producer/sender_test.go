package producer

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestAFullQueueHoldsTheSenderBack(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 10}})
		s := sender(t, w, "s", q, broker.Window{})
		sent := brokertest.Send(t.Context(), s, 4, 50)
		testkit.Eventually(t, func() bool { return w.Backlog(t, "q") == 10 }, "the queue is full to the item")
		select {
		case err := <-sent:
			t.Fatalf("all was sent: %v", err)
		default:
		}
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q")
		if got := r.all(t); !slices.Equal(got["s"], brokertest.Offsets(0, 50)) {
			t.Fatalf("received %v", got)
		}
		if err := errors.Join(<-sent, r.ended(t)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTheWindowHoldsTheSenderBack(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		s := sender(t, w, "s", q, broker.Window{Items: 8})
		if err := s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 1)}); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q")
		r.item(t)
		r.Delivered(1) // the window counts from here on
		testkit.Eventually(t, func() bool {
			found, err := w.C.Look(t.Context(), "q")
			return err == nil && found.Items == 1 && w.Running(t, "q") == 0
		}, "the first item is acknowledged")
		sent := make(chan error, 1)
		go func() {
			sent <- s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 1, 6), brokertest.Numbers("s", 6, 30)})
		}()
		for at := int64(1); at < 30; at++ {
			_, text := r.item(t)
			if want := brokertest.Offsets(at, at+1)[0]; text != want {
				t.Fatalf("item %s where %s was due", text, want)
			}
			found, err := w.C.Look(t.Context(), "q")
			if err != nil || found.Items > at+8 {
				t.Fatalf("%d items are on their way where %d are delivered, %v", found.Items, at, err)
			}
			r.Delivered(1)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		r.cancel()
		if err := r.ended(t); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

// A bound of bytes alone leaves room for any number of items: the sender must
// wait all the same and not ask again and again.
func TestABoundOfBytesIsWaitedFor(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{MaxBytes: 100}})
		source, _, err := w.C.Source(t.Context(), "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		wake := make(chan struct{}) // only a waiting sender receives from it
		s := NewSender(w.C, source, "x1", wake, broker.Window{})
		sent := brokertest.Send(t.Context(), s, 20, 100)
		select {
		case wake <- struct{}{}:
		case err := <-sent:
			t.Fatalf("all was sent: %v", err)
		case <-time.After(20 * time.Second):
			t.Fatal("the sender does not wait")
		}
		r := receive(t, w, "q")
		if got := r.all(t); !slices.Equal(got["s"], brokertest.Offsets(0, 100)) {
			t.Fatalf("received %v", got)
		}
		if err := errors.Join(<-sent, r.ended(t)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestACanceledSendLeavesNoPayloads(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 2}})
		s := sender(t, w, "s", q, broker.Window{})
		var all []batch.Batch
		for at := range int64(6) {
			var b batch.Builder
			b.Value([]byte(strings.Repeat("x", 5000)))
			all = append(all, batch.Batch{Source: "s", First: at, N: 1, Frame: b.Take()})
		}
		ctx, cancel := context.WithCancel(t.Context())
		sent := make(chan error, 1)
		go func() { sent <- s.Send(ctx, all) }()
		testkit.Eventually(t, func() bool { return len(w.Payloads()) > 2 && w.Backlog(t, "q") == 2 }, "payloads wait for room")
		cancel()
		if err := <-sent; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if left := w.Payloads(); len(left) != 2 {
			t.Fatalf("%d payloads of 2 entries", len(left))
		}
		if err := s.Abandon(t.Context(), errors.New("no more")); err != nil {
			t.Fatal(err)
		}
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q")
		got := r.all(t)
		if err := r.ended(t); !errors.Is(err, broker.ErrTruncated) || !strings.Contains(err.Error(), "no more") || len(got["s"]) != 2 {
			t.Fatalf("%d items, then %v", len(got["s"]), err)
		}
		if left := w.Payloads(); len(left) != 0 {
			t.Fatalf("payloads are left: %q", left)
		}
	})
}

// A successor does not know how far its predecessor got in the batch that it
// sends again.
func TestASuccessorCutsWhatIsStored(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		first := sender(t, w, "s", q, broker.Window{})
		if err := first.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 3)}); err != nil {
			t.Fatal(err)
		}
		source, stored, err := w.C.Source(t.Context(), "s", q, 1)
		if err != nil || stored != 3 {
			t.Fatal(stored, err)
		}
		second := NewSender(w.C, source, "x1", nil, broker.Window{})
		if err := first.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 3, 4)}); !errors.Is(err, broker.ErrFenced) {
			t.Fatalf("the first one: %v", err)
		}
		err = second.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 2), brokertest.Numbers("s", 2, 7), brokertest.Numbers("s", 7, 9)})
		if err == nil {
			err = second.Finish(t.Context(), 9)
		}
		r := receive(t, w, "q")
		got := r.all(t)
		if err = errors.Join(err, r.ended(t)); err != nil || !reflect.DeepEqual(got, map[string][]string{"s": brokertest.Offsets(0, 9)}) {
			t.Fatalf("received %v, %v", got, err)
		}
	})
}
