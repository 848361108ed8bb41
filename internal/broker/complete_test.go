package broker_test

import (
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// CommitAndTakeNext returns the next entry of the out-queue: its own output, or an entry stored
// before. If the completion has no effect, it returns none.
func TestCommitTakesNextEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		long := large(1)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{
			{Batch: framed("s1", 0, "zero")}, {Batch: framed("s1", 1, long)}, {Batch: framed("s1", 2, "two")},
		}))
		done := f.whole(f.takeAll(t, c, "w1"))
		advance := func(d broker.Completion, want broker.Outcome, items ...string) {
			t.Helper()
			outcome, entries, err := c.CommitAndTakeNext(t.Context(), d, "w1")
			if err == nil {
				err = c.Fetch(t.Context(), nil, entries)
			}
			var got []string
			for _, e := range entries {
				got = append(got, texts(e.Batch)...)
				if e.Queue != "b" || e.Source != "s1" {
					t.Errorf("advanced to %+v", e)
				}
			}
			if err != nil || outcome != want || !slices.Equal(got, items) {
				t.Fatalf("advanced %v to %.60q, %v; wanted %v, %.60q", outcome, got, err, want, items)
			}
		}
		advance(done[0], broker.Committed, "zero")
		must[[]broker.Outcome](t)(c.Complete(t.Context(), done[1:2]))
		advance(done[0], broker.Superseded)
		advance(done[2], broker.Committed, long)
		if held := must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "b")); len(held) != 2 {
			t.Errorf("%d entries of b are held", len(held))
		}
		if got := queued(t, c, "b"); !slices.Equal(got, []string{"0+1", "1+1", "2+1"}) {
			t.Errorf("b has %q", got)
		}
	})
}

// After a lost reply the item has moved once, and the entry taken is pending with its consumer.
func TestEntryOfLostCommitReplyIsHeld(t *testing.T) {
	t.Parallel()
	p, c := through(t)
	f := makeFlow(t, c, 0)
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}}))
	done := f.whole(f.takeAll(t, c, "w1"))
	lost := cutAtScript(p)
	outcome, entries, err := c.CommitAndTakeNext(t.Context(), done[0], "w1")
	if wasLost(t, lost); err != nil || outcome != broker.Superseded || entries != nil {
		t.Fatalf("advanced %v to %v, %v", outcome, entries, err)
	}
	if held := must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "b")); len(held) != 1 || !slices.Equal(texts(held[0].Batch), []string{"one"}) {
		t.Errorf("held is %+v", held)
	}
}

// If the out-queue has lost its group, the completion is stored and no entry is taken.
func TestCommitIntoSickQueueTakesNoEntry(t *testing.T) {
	t.Parallel()
	c, err := broker.Open(testkit.SharedRedis(t).URL()+"/?ns="+testkit.Namespace(t), broker.Options{})
	c = opened(t, c, err)
	f := makeFlow(t, c, 0)
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}}))
	done := f.whole(f.takeAll(t, c, "w1"))
	if err := c.Raw().XGroupDestroy(t.Context(), c.Key("q:b"), "w").Err(); err != nil {
		t.Fatal(err)
	}
	outcome, entries, err := c.CommitAndTakeNext(t.Context(), done[0], "w1")
	if got := queued(t, c, "b"); err != nil || outcome != broker.Committed || len(entries) != 0 || !slices.Equal(got, []string{"0+1"}) {
		t.Errorf("advanced %v to %v, %v; b has %q", outcome, entries, err, got)
	}
}
