package broker_test

import (
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// An epoch belongs to one holder: neither the next source of the same name, after the first one is
// delivered and deleted, nor the sources and gathers of the next queue of that name get it again.
func TestEpochsAreUnique(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q := orders(t, c)
		first := shop(t, c, q, 0, 2)
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "orders"))
		ack := func(g broker.Gather, m broker.Mark) error {
			_, err := c.Ack(t.Context(), g, nil, []broker.Mark{m}, 0, func(string) string { return "orders" })
			return err
		}
		if err := errors.Join(c.Finish(t.Context(), first, 2), ack(g, broker.Mark{Source: "shop", Delivered: "2", Low: 2, Retire: true})); err != nil {
			t.Fatal(err)
		}
		second := shop(t, c, q, 0, 1)
		doesNothing(t, c, first)
		if err := c.Delete(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		q = orders(t, c)
		shop(t, c, q, 0, 1)
		heir := must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x1", "orders"))
		doesNothing(t, c, first)
		shop(t, c, q, 1, 0) // its epoch number is that of the second source
		doesNothing(t, c, second)
		if err := ack(g, broker.Mark{Source: "shop", Delivered: "1", Low: 1}); !errors.Is(err, broker.ErrFenced) {
			t.Errorf("a gather of the queue that was deleted acknowledges: %v", err)
		}
		if err := c.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if err := ack(heir, broker.Mark{Source: "shop", Delivered: "0", Low: 0}); err != nil {
			t.Errorf("the gather of the queue that is there: %v", err)
		}
		if found, err := c.Look(t.Context(), "orders"); err != nil || found.Consumer != "gather:g2" {
			t.Errorf("its consumer is %q, %v", found.Consumer, err)
		}
	})
}

// orders makes a permanent queue.
func orders(t *testing.T, c *broker.Client) broker.Queue {
	t.Helper()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// shop makes or takes over the source of that name, and stores n items at offset from.
func shop(t *testing.T, c *broker.Client, q broker.Queue, from, n int64) broker.Source {
	t.Helper()
	s, stored, err := c.Source(t.Context(), "shop", q, 0)
	if err != nil || stored != from {
		t.Fatalf("it begins at %d and not %d, %v", stored, from, err)
	}
	for at := range n {
		must[broker.Scattered](t)(c.Scatter(t.Context(), s, "x1", 0, []broker.Parcel{{Batch: framed("shop", from+at, "item")}}))
	}
	return s
}

// doesNothing tries the calls of a process that wakes up with an old source.
func doesNothing(t *testing.T, c *broker.Client, s broker.Source) {
	t.Helper()
	_, err := c.Scatter(t.Context(), s, "x1", 0, []broker.Parcel{{Batch: framed("shop", 1, "late")}})
	for what, err := range map[string]error{"adds": err, "ends": c.Finish(t.Context(), s, 1), "gives up": c.Abandon(t.Context(), s, "late")} {
		if !errors.Is(err, broker.ErrFenced) && !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("a source of old %s: %v", what, err)
		}
	}
}
