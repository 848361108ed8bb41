package consumer

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// short makes a source of one item that has ended.
func short(t *testing.T, w brokertest.World, name string, q broker.Queue) {
	t.Helper()
	if err := <-brokertest.Send(t.Context(), sender(t, w, name, q), 1, 1); err != nil {
		t.Fatal(err)
	}
}

// An entry is read again after it was delivered, since a call has failed, and meanwhile its source is forgotten. The
// entry arrives together with one of a source that the gather does not know. It is not handed out again.
func TestAnEntryOfAForgottenSourceIsNotHandedOutAgain(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		short(t, w, "s", q)
		r, err := Receive(t.Context(), w.C, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
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
		short(t, w, "t", q)
		must(w.Raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "w", Consumer: r.g.ID, Streams: []string{w.Key("q:q"), ">"}}).Err())
		held, err := w.C.HeldBy(t.Context(), r.g) // as next does after a call has failed
		must(err)
		if len(held) != 2 {
			t.Fatalf("%d entries are held", len(held))
		}
		must(r.commit(t.Context()))
		if sources := w.Raw.ZRange(t.Context(), w.Key("src:q"), 0, -1).Val(); !slices.Equal(sources, []string{"t"}) {
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
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		stage := broker.Stage{ID: "copy", Kind: broker.KindCopy, Ins: []broker.Queue{q}}
		for _, branch := range []string{"~0", "~1"} {
			out := w.Queue(t, broker.Queue{Name: "q" + branch[1:], From: []string{"q" + branch}, Seal: true})
			stage.Outs = append(stage.Outs, broker.Out{Queue: out, Branch: branch})
		}
		if err := w.C.Stage(t.Context(), stage); err != nil {
			t.Fatal(err)
		}
		abandoned(t, w, "s", q)
		taken, err := w.C.Take(t.Context(), "w1", 10, 0, []broker.Route{{In: "q", Outs: []string{"q0", "q1"}}})
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
			if _, err := w.C.Complete(t.Context(), []broker.Completion{done}); err != nil {
				t.Fatal(err)
			}
		}
		var both []*running
		for _, name := range []string{"q0", "q1"} {
			r := receive(t, w, name, ReceiverOptions{})
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
		testkit.Eventually(t, func() bool { return w.Raw.Exists(t.Context(), w.Key("s:s")).Val() == 0 }, "the source is forgotten")
		for _, r := range both {
			r.cancel()
			_ = r.ended(t)
		}
	})
}

// An end that Redis has lost with its last writes is one that has not come: its source is not forgotten.
func TestASourceWhoseEndWasLostIsNotForgotten(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		short(t, w, "s", q)
		r := receive(t, w, "q", ReceiverOptions{})
		r.item(t)
		if err := w.Raw.HSet(t.Context(), w.Key("s:s"), "end", -1).Err(); err != nil {
			t.Fatal(err)
		}
		r.Delivered(1)
		mark := func() bool { return w.Raw.HGet(t.Context(), w.Key("d:q"), "s").Val() == "1" }
		testkit.Eventually(t, mark, "the item is acknowledged")
		if w.Raw.Exists(t.Context(), w.Key("s:s")).Val() == 0 {
			t.Error("the source is forgotten, and its producer cannot go on")
		}
		if at := w.Raw.HGet(t.Context(), w.Key("s:s"), "g:q").Val(); at != "1" {
			t.Errorf("the source counts as delivered to %s, and the next gather would not look at it", at)
		}
		r.cancel()
		_ = r.ended(t)
	})
}
