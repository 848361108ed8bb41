package consumer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// Each of four receivers acknowledges a random half of its items, in random order. The next one
// gets the other half, and the last one acknowledges all.
func TestUnacknowledgedItemsAreHandedOutAgain(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%v", unordered), func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				q := w.Queue(t, broker.Queue{Name: "q"})
				if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 7, 200); err != nil {
					t.Fatal(err)
				}
				if err := w.C.Seal(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
				left := map[string]bool{}
				for _, text := range brokertest.Offsets(0, 200) {
					left[text] = true
				}
				random := rand.New(rand.NewPCG(1, 2))
				for round := range 4 {
					tickets := map[string]*Ticket{}
					r := receive(t, w, "q", ReceiverOptions{Unordered: unordered, Manual: true})
					for range len(left) {
						text, ticket := r.ticket(t)
						if !left[text] || tickets[text] != nil {
							t.Fatalf("round %d: %q comes again", round, text)
						}
						tickets[text] = ticket
					}
					for _, text := range slices.Sorted(maps.Keys(left)) {
						if round == 3 || random.IntN(2) == 0 {
							go tickets[text].Ack()
							tickets[text].Ack()
							delete(left, text)
						}
					}
					if round < 3 {
						r.cancel()
					}
					if err := r.ended(t); (err == nil) != (round == 3) {
						t.Fatalf("round %d ended with %v", round, err)
					}
					for _, ticket := range tickets { // too late, without an effect
						ticket.Ack()
					}
				}
				if n := w.Running(t, "q"); n != 0 {
					t.Errorf("%d entries are left", n)
				}
			})
		})
	}
}

func TestUnacknowledgedItemsAreBounded(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		const n = 3 * MaxManual
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 1000, n); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{Manual: true})
		var tickets []*Ticket
		for range MaxManual {
			_, ticket := r.ticket(t)
			tickets = append(tickets, ticket)
		}
		select {
		case rg := <-r.Pieces():
			t.Fatalf("%d items are handed out, and %d more", len(tickets), rg.Len())
		case <-time.After(50 * time.Millisecond):
		}
		slices.Reverse(tickets) // the last one first: the mark needs one range
		for len(tickets) > 0 {
			tickets[0].Ack()
			if tickets = tickets[1:]; r.next < n {
				_, ticket := r.ticket(t)
				tickets = append(tickets, ticket)
			}
		}
		testkit.Eventually(t, func() bool { return w.Running(t, "q") == 0 }, "all is acknowledged")
		r.cancel()
		_ = r.ended(t)
	})
}

// Ack takes a lock and extends a range.
func TestAckDoesNotAllocate(t *testing.T) {
	tr, err := newTracker(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr.manual.enabled = true
	left := int64(MaxManual)
	rg, _, err := tr.add(t.Context(), Range{Entry: &broker.Entry{}, To: left, undelivered: &left})
	if err != nil {
		t.Fatal(err)
	}
	origin, i := rg.Origin(), 0
	if n := testing.AllocsPerRun(1000, func() {
		origin.Ticket(i).Ack()
		i++
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
