package edge

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// short makes a source of one item that has ended.
func (w world) short(t *testing.T, name string, q broker.Queue) {
	t.Helper()
	if err := <-send(t.Context(), w.sender(t, name, q, 0), 1, 1); err != nil {
		t.Fatal(err)
	}
}

// An entry is read again after it was delivered, since a call has failed, and meanwhile its source is forgotten. The
// entry arrives together with one of a source that the gather does not know. It is not handed out again.
func TestAnEntryOfAForgottenSourceIsNotHandedOutAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		t.Helper()
		q := w.declare(t, broker.Queue{Name: "q"})
		w.short(t, "s", q)
		r, err := Receive(t.Context(), w.c, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer r.reader.Close()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		entries, err := r.next(t.Context())
		must(err)
		must(r.pass(t.Context(), entries))
		r.Delivered((<-r.Pieces()).Len())
		must(r.lookAtSources(t.Context())) // s is listed, has ended and is to be forgotten
		w.short(t, "t", q)
		must(w.raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "w", Consumer: r.g.ID, Streams: []string{w.key("q:q"), ">"}}).Err())
		held, err := w.c.HeldBy(t.Context(), r.g) // as next does after a call has failed
		must(err)
		if len(held) != 2 {
			t.Fatalf("%d entries are held", len(held))
		}
		must(r.commit(t.Context()))
		if sources := w.raw.ZRange(t.Context(), w.key("src:q"), 0, -1).Val(); !slices.Equal(sources, []string{"t"}) {
			t.Fatalf("Redis knows the sources %q", sources)
		}
		must(r.pass(t.Context(), held))
		close(r.pieces)
		var got []string
		for p := range r.Pieces() {
			got = append(got, p.Entry.Source)
		}
		if !slices.Equal(got, []string{"t"}) {
			t.Errorf("entries of %q are handed out", got)
		}
		must(r.release(t.Context()))
	})
}

// A source of a multiplexed queue that stays open is given up: each branch tells it, once, and forgets the source.
func TestABranchTellsOfASourceThatWasGivenUp(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		t.Helper()
		q := w.declare(t, broker.Queue{Name: "q"})
		stage := broker.Stage{ID: "copy", Kind: broker.KindCopy, Ins: []broker.Queue{q}}
		for _, branch := range []string{"~0", "~1"} {
			out := w.declare(t, broker.Queue{Name: "q" + branch[1:], From: []string{"q" + branch}, Seal: true})
			stage.Outs = append(stage.Outs, broker.Out{Queue: out, Branch: branch})
		}
		if err := w.c.Stage(t.Context(), stage); err != nil {
			t.Fatal(err)
		}
		w.abandoned(t, "s", q)
		taken, err := w.c.Take(t.Context(), "w1", 10, 0, []broker.Route{{In: "q", Outs: []string{"q0", "q1"}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range taken[0].Entries {
			done := broker.Completion{Entry: e, In: q}
			for _, out := range stage.Outs {
				b := e.Batch
				b.Source += out.Branch
				done.Outs = append(done.Outs, broker.Output{Queue: out.Queue, Batch: b})
			}
			if _, err := w.c.Complete(t.Context(), []broker.Completion{done}); err != nil {
				t.Fatal(err)
			}
		}
		var both []*running
		for _, name := range []string{"q0", "q1"} {
			r := w.receive(t, name, ReceiverOptions{})
			for range 3 {
				r.item(t)
				r.Delivered(1)
			}
			if _, text := r.item(t); !strings.Contains(text, broker.ErrTruncated.Error()) {
				t.Errorf("behind the last item of %s comes %q", name, text)
			}
			r.Delivered(1)
			both = append(both, r)
		}
		testkit.Eventually(t, func() bool { return w.raw.Exists(t.Context(), w.key("s:s")).Val() == 0 }, "the source is forgotten")
		for _, r := range both {
			r.cancel()
			_ = r.ended(t)
		}
	})
}

// An end that Redis has lost with its last writes is one that has not come: its source is not forgotten.
func TestASourceWhoseEndWasLostIsNotForgotten(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		t.Helper()
		q := w.declare(t, broker.Queue{Name: "q"})
		w.short(t, "s", q)
		r := w.receive(t, "q", ReceiverOptions{})
		r.item(t)
		if err := w.raw.HSet(t.Context(), w.key("s:s"), "end", -1).Err(); err != nil {
			t.Fatal(err)
		}
		r.Delivered(1)
		mark := func() bool { return w.raw.HGet(t.Context(), w.key("d:q"), "s").Val() == "1" }
		testkit.Eventually(t, mark, "the item is acknowledged")
		if w.raw.Exists(t.Context(), w.key("s:s")).Val() == 0 {
			t.Error("the source is forgotten, and its producer cannot go on")
		}
		if at := w.raw.HGet(t.Context(), w.key("s:s"), "g:q").Val(); at != "1" {
			t.Errorf("the source counts as delivered to %s, and the next gather would not look at it", at)
		}
		r.cancel()
		_ = r.ended(t)
	})
}
