package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Dropped items are failures for the reader of the out-queue, also those with payloads and those that
// came back. Items that a worker has are not dropped.
func TestDropWaitingLeavesFailures(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		var in []broker.Parcel
		for i := range int64(250) {
			in = append(in, broker.Parcel{Batch: framed("s1", i, fmt.Sprint(i)), Trace: "00-aa-bb-01"})
		}
		in = append(in, broker.Parcel{Batch: framed("s1", 250, strings.Repeat("x", 5000), "y"), Trace: "00-aa-bb-01"})
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, in))
		taken := must[[]broker.Taken](t)(c.Take(t.Context(), "w1", 2, 1, f.routes()))[0].Entries
		back := broker.Completion{Entry: taken[1], In: f.a, Remainders: []broker.Remainder{{Batch: taken[1].Batch}}}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{back}))
		var pages []int64
		items := must[int64](t)(c.DropWaiting(t.Context(), "a", "purged", func(items int64) { pages = append(pages, items) }))
		if items != 251 || len(pages) != 3 || pages[0] != 100 {
			t.Fatalf("%d items, in pages %v", items, pages)
		}
		left := must[broker.Backlog](t)(c.Waiting(t.Context(), "a"))
		if left.Items != 0 || left.Running != 1 || left.Entries != 1 {
			t.Errorf("left are %+v", left)
		}
		if keys := must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("f:*")).Result()); len(keys) > 0 {
			t.Errorf("payloads are left: %v", keys)
		}
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
		r := c.Reader(g.ID, -1)
		defer r.Close()
		entries, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 1000, 0)
		if err != nil || len(entries) != 250 {
			t.Fatalf("%d results, %v", len(entries), err)
		}
		seen := map[int64]bool{0: true} // a worker has it
		for _, e := range entries {
			if e.Lost == nil || e.Lost.Code != "dropped" || e.Lost.Stage != "b" || e.Trace() != "00-aa-bb-01" {
				t.Errorf("result %d is %+v", e.First, e)
			}
			for o := range int64(e.N) {
				seen[e.First+o] = true
			}
		}
		if len(seen) != 252 || c.Finish(t.Context(), f.source, 252) != nil {
			t.Errorf("%d places", len(seen))
		}
	})
}

// The items of a queue that no stage reads stay there as failures.
func TestDropWaitingOfLastQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q", Codec: "raw", Type: "string"})
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.Source(t.Context(), "s1", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		must[broker.Scattered](t)(c.Scatter(t.Context(), s, "", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "a", "b")}, {Batch: framed("s1", 2, "c")}}))
		if items := must[int64](t)(c.DropWaiting(t.Context(), "q", "purged", nil)); items != 3 {
			t.Errorf("%d items", items)
		}
		if left := must[broker.Backlog](t)(c.Waiting(t.Context(), "q")); left.Items != 3 || left.Entries != 2 {
			t.Errorf("left are %+v", left)
		}
		if _, err := c.DropWaiting(t.Context(), "none", "purged", nil); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("no queue: %v", err)
		}
	})
}
