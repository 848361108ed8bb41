package broker_test

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// stored items are in the backlog, in batches of size; the window is that of their source.
const stored, size, window = 100_000, 20, 1000

// backlog stores items of the source s in the queue q, which a stage reads.
func backlog(t *testing.T, c *broker.Client) {
	t.Helper()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q"})
	var out broker.Queue
	if err == nil {
		out, _, err = c.Declare(t.Context(), broker.Queue{Name: "out", From: []string{"q"}})
	}
	if err == nil {
		err = c.Stage(t.Context(), broker.Stage{ID: "stage", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{q}, Outs: []broker.Out{{Queue: out}}})
	}
	if err == nil {
		err = c.Join(t.Context(), broker.RoleWorker, "w1", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := c.Source(t.Context(), "s", q, 1)
	if err != nil {
		t.Fatal(err)
	}
	items := make([]string, size)
	for at := int64(0); at < stored; {
		var parcels []broker.Parcel
		for range 100 {
			parcels = append(parcels, broker.Parcel{Batch: framed("s", at, items...)})
			at += size
		}
		if got := must[broker.Scattered](t)(c.Scatter(t.Context(), s, "x", -window, parcels)); got.Stored != at {
			t.Fatalf("%+v", got)
		}
	}
}

// A backlog of 100,000 items was stored before the first gather. Then workers take requeued entries
// and entries within the window, and get a hint when the window moves.
func TestTakeRespectsWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx := t.Context()
		backlog(t, c)
		take := func() broker.Taken {
			t.Helper()
			return must[[]broker.Taken](t)(c.Take(ctx, "w1", 30, 0, []broker.Route{{In: "q"}}))[0]
		}
		if got := take(); len(got.Entries) != 30 || got.Beyond { // there is no gather
			t.Fatalf("%d entries, %v", len(got.Entries), got.Beyond)
		}
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "out"))
		if _, err := c.Watch(ctx, g, broker.Path{Queue: "q"}, "0"); err != nil {
			t.Fatal(err)
		}
		if got := take(); len(got.Entries) != window/size-30 || got.Beyond {
			t.Fatalf("%d entries, %v", len(got.Entries), got.Beyond)
		}
		if got := take(); len(got.Entries) != 0 || !got.Beyond {
			t.Fatalf("%d entries, %v", len(got.Entries), got.Beyond)
		}
		if err := c.GiveBack(ctx, "w1", "q"); err != nil {
			t.Fatal(err)
		}
		if got := take(); len(got.Entries) != 30 || got.Entries[0].Kind != broker.Returned {
			t.Fatalf("%d entries came back", len(got.Entries))
		}
		for ; len(take().Entries) > 0; take() {
		}
		if _, err := c.Ack(ctx, g, nil, []broker.Mark{{Source: "s", Delivered: "50", Low: 50}}, 0, func(string) string { return "q" }); err != nil {
			t.Fatal(err)
		}
		r := c.Reader("w1", time.Minute)
		defer r.Close()
		if _, hints, err := r.Read(ctx, nil, 1, time.Minute); err != nil || len(hints) == 0 || hints[0].Kind != broker.HintRoom {
			t.Errorf("told %v, %v", hints, err)
		}
		if got := take(); len(got.Entries) != 3 || got.Entries[2].First != window+2*size {
			t.Errorf("%d entries", len(got.Entries))
		}
	})
}
