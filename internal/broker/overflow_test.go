package broker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A call with a lost reply is repeated and drops no item twice. Dropped items leave no payload, and
// only unread items are dropped.
func TestRepeatedDropOldestDropsOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx, large := t.Context(), strings.Repeat("x", 5000)
		q, _, err := c.Declare(ctx, broker.Queue{Name: "q", Max: 4})
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := c.Source(ctx, "a", q, 0)
		b, _, errB := c.Source(ctx, "b", q, 0)
		if err != nil || errB != nil {
			t.Fatal(err, errB)
		}
		a.Overflow = broker.OverflowDropOldest
		store := func(s broker.Source, first int64, items ...string) broker.Scattered {
			t.Helper()
			parcels := []broker.Parcel{{Batch: framed(s.Name, first, items...)}}
			return must[broker.Scattered](t)(c.Scatter(ctx, s, "x", 0, parcels))
		}
		store(a, 0, "read", "read")
		if taken := must[[]broker.Taken](t)(c.Take(ctx, "w1", 1, 1, []broker.Route{{In: "q"}})); len(taken[0].Entries) != 1 {
			t.Fatalf("took %+v", taken)
		}
		store(b, 0, large)
		store(a, 2, large, "kept?", "kept")
		for range 2 {
			if got := store(a, 5, "new", "newer"); got.Stored != 7 || got.Full {
				t.Fatalf("%+v", got)
			}
		}
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "q"))
		sources, _ := watched(t, c, g, "q")
		if !sources["a"].Dropped || gaps(t, c, "a") != "2-5" || !sources["b"].Dropped || gaps(t, c, "b") != "0-1" {
			t.Errorf("%+v, gaps %q and %q", sources, gaps(t, c, "a"), gaps(t, c, "b"))
		}
		found := must[broker.Queue](t)(c.Look(ctx, "q"))
		backlog, err := c.Waiting(ctx, "q")
		if err != nil || found.Dropped != 4 || backlog.Items != 2 {
			t.Errorf("%d dropped, %d wait, %v", found.Dropped, backlog.Items, err)
		}
		if keys := must[[]string](t)(c.Raw().Keys(ctx, c.Key("f:*")).Result()); len(keys) > 0 {
			t.Errorf("payloads are left: %q", keys)
		}
	})
}

// Dropped items do not count in the window, and their ranges are deleted when they are delivered.
func TestDroppedItemsDoNotCountInWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx := t.Context()
		q, _, err := c.Declare(ctx, broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.Source(ctx, "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Overflow = broker.OverflowDropNewest
		var parcels []broker.Parcel
		for at := range int64(10) {
			parcels = append(parcels, broker.Parcel{Batch: framed("s", at, "item")})
		}
		must[broker.Scattered](t)(c.Scatter(ctx, s, "x", 3, parcels))
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "q"))
		for _, step := range []struct {
			low  int64
			gaps string
			room int64
		}{{0, "3-10", 0}, {1, "3-10", 1}, {3, "3-10", 3}, {5, "3-10", 3}, {10, "", 3}} {
			marks := []broker.Mark{{Source: "s", Delivered: "0", Low: step.low}}
			if _, err := c.Ack(ctx, g, nil, marks, 0, func(string) string { return "q" }); err != nil {
				t.Fatal(err)
			}
			got := must[broker.Scattered](t)(c.Scatter(ctx, s, "x", 3, nil))
			if gaps(t, c, "s") != step.gaps || got.Room != step.room {
				t.Errorf("delivered to %d: gaps %q, room %d", step.low, gaps(t, c, "s"), got.Room)
			}
		}
		kept := must[[]broker.Taken](t)(c.Take(ctx, "w1", 10, 1, []broker.Route{{In: "q"}}))[0].Entries
		if offsets := slices.Collect(func(yield func(int64) bool) {
			for _, e := range kept {
				yield(e.First)
			}
		}); !slices.Equal(offsets, []int64{0, 1, 2}) {
			t.Errorf("kept %v", offsets)
		}
	})
}
