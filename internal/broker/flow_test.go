package broker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// flow is scatter -> a -> stage -> b -> gather, without entries.
type flow struct {
	a, b   broker.Queue
	source broker.Source
	stage  broker.Stage
}

func makeFlow(t *testing.T, c *broker.Client, max int64) flow {
	t.Helper()
	var f flow
	var err error
	if f.a, _, err = c.Declare(t.Context(), broker.Queue{Name: "a", Codec: "raw", Type: "string", Bounds: broker.Bounds{Max: max}, Owner: "x1"}); err != nil {
		t.Fatal(err)
	}
	if f.b, _, err = c.Declare(t.Context(), broker.Queue{Name: "b", Codec: "raw", Type: "string", Owner: "x1", From: []string{"a"}, Seal: true}); err != nil {
		t.Fatal(err)
	}
	if f.source, _, err = c.Source(t.Context(), "s1", f.a, 1); err != nil {
		t.Fatal(err)
	}
	f.stage = broker.Stage{ID: "b", Kind: broker.KindMap, Function: "up", Ins: []broker.Queue{f.a}, Outs: []broker.Out{{Queue: f.b}}}
	for _, err := range []error{
		c.Join(t.Context(), broker.RoleWorker, "w1", map[string]string{"host": "here"}),
		c.Join(t.Context(), broker.RoleExecutor, "x1", nil),
		c.Stage(t.Context(), f.stage),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f flow) routes() []broker.Route { return []broker.Route{{In: "a", Outs: []string{"b"}}} }

func TestBatchPassesStage(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		big := strings.Repeat("x", 5000)
		in := []broker.Parcel{{Batch: framed("s1", 0, "one", "two")}, {Batch: framed("s1", 2, big)}}
		for range 2 { // a call with a lost reply is repeated unchanged
			got := must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, in))
			if got.Stored != 3 || got.Full || got.Room != -1 {
				t.Fatalf("scattered %+v", got)
			}
		}
		if err := c.Finish(t.Context(), f.source, 3); err != nil {
			t.Fatal(err)
		}
		taken := must[[]broker.Taken](t)(c.Take(t.Context(), "w1", 10, 1, f.routes()))
		entries := taken[0].Entries
		if len(entries) != 2 || c.Fetch(t.Context(), nil, entries) != nil {
			t.Fatalf("took %+v", taken)
		}
		var done []broker.Completion
		for _, e := range entries {
			out := framed("s1", e.First, texts(e.Batch)...)
			done = append(done, broker.Completion{Entry: e, In: f.a, Outs: []broker.Output{{Queue: f.b, Batch: out}}, Cost: time.Millisecond})
		}
		first := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		again := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		if !slices.Equal(first, []broker.Outcome{broker.Committed, broker.Committed}) ||
			!slices.Equal(again, []broker.Outcome{broker.Superseded, broker.Superseded}) {
			t.Fatalf("completed %v, then %v", first, again)
		}
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
		if _, err := c.Consume(t.Context(), "g2", "x1", "b"); !errors.Is(err, broker.ErrConsumerExists) {
			t.Fatalf("a second gather: %v", err)
		}
		gathered(t, c, g, []string{"one", "two", big})
		for _, queue := range []string{"a", "b"} {
			if err := c.Delete(t.Context(), queue); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// gathered reads and acknowledges three items of source s1, which feeds a.
func gathered(t *testing.T, c *broker.Client, g broker.Gather, want []string) {
	t.Helper()
	r := c.Reader(g.ID, 100*time.Millisecond)
	defer r.Close()
	entries, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0)
	if err == nil {
		err = c.Fetch(t.Context(), nil, entries)
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, texts(e.Batch)...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("gathered %d items: %.100q", len(got), got)
	}
	sources, sealed := watched(t, c, g, "a")
	if !sealed || sources["s1"] != (broker.Progress{Name: "s1", Stored: 3, End: 3}) {
		t.Fatalf("watch: %v sealed %v, %v", sources, sealed, err)
	}
	mark := broker.Mark{Source: "s1", Delivered: "3", Low: 3}
	if _, err := c.Ack(t.Context(), g, entries, []broker.Mark{mark}, 0, func(string) string { return "a" }); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context(), g); err != nil {
		t.Fatal(err)
	}
}
