package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// damages are changes by other programs to the streams of a flow, and the items that are lost by
// each.
var damages = map[string]struct {
	before func(t *testing.T, l line) // before the worker runs
	after  func(t *testing.T, l line) // after the worker has completed all entries
	lost   []int64
}{
	"an entry of workers is deleted": {before: func(t *testing.T, l line) {
		t.Helper()
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:a"), l.ids(t, "q:a")[1]).Err())
	}, lost: []int64{5, 6, 7, 8, 9}},
	"the last entry of workers is deleted": {before: func(t *testing.T, l line) {
		t.Helper()
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:a"), l.ids(t, "q:a")[3]).Err())
	}, lost: []int64{15, 16, 17, 18, 19}},
	"two entries of the gather are deleted": {after: func(t *testing.T, l line) {
		t.Helper()
		ids := l.ids(t, "q:b")
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:b"), ids[0], ids[2]).Err())
	}, lost: []int64{0, 1, 2, 3, 4, 10, 11, 12, 13, 14}},
	"all entries of the gather are deleted": {after: func(t *testing.T, l line) {
		t.Helper()
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:b"), l.ids(t, "q:b")...).Err())
	}, lost: []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}},
	"a worker is deleted as a consumer": {before: func(t *testing.T, l line) {
		t.Helper()
		l.must(t, l.C.Join(t.Context(), broker.RoleWorker, "w1", nil))
		l.read(t, "q:a", "w1")
		l.must(t, l.Raw.XGroupDelConsumer(t.Context(), l.Key("q:a"), "w", "w1").Err())
	}},
	"entries of a worker are acknowledged": {before: func(t *testing.T, l line) {
		t.Helper()
		l.must(t, l.C.Join(t.Context(), broker.RoleWorker, "w1", nil))
		l.read(t, "q:a", "w1")
		l.must(t, l.Raw.XAck(t.Context(), l.Key("q:a"), "w", l.ids(t, "q:a")...).Err())
	}},
	"another program reads entries of workers": {before: func(t *testing.T, l line) {
		t.Helper()
		l.read(t, "q:a", "other")
	}},
	"another program reads entries of the gather": {after: func(t *testing.T, l line) {
		t.Helper()
		l.read(t, "q:b", "other")
	}},
	"the group of workers is set to the end": {before: func(t *testing.T, l line) {
		t.Helper()
		l.toTheEnd(t, "q:a")
	}},
	"the group of the gather is set to the end": {after: func(t *testing.T, l line) {
		t.Helper()
		l.toTheEnd(t, "q:b")
	}},
}

func TestDamageIsRepairedOrReported(t *testing.T) {
	for what, damage := range damages {
		for _, unordered := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, unordered=%v", what, unordered), func(t *testing.T) {
				t.Parallel()
				brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
					t.Helper()
					l := newLine(t, w)
					l.unordered = unordered
					if damage.before != nil {
						damage.before(t, l)
					}
					l.work(t)
					if damage.after != nil {
						testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 }, "the worker has completed all entries")
						damage.after(t, l)
					}
					r := receive(t, w, "b", ReceiverOptions{Unordered: unordered})
					got := r.all(t)["s"]
					if err := r.ended(t); err != nil {
						t.Error(err)
					}
					l.compare(t, got, damage.lost)
				})
			})
		}
	}
}

// A queue of several sources always has a backlog. Lost items of one source are reported all the
// same.
func TestLossIsReportedDespiteABacklog(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		l := line{World: w}
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 5, 20); err != nil {
			t.Fatal(err)
		}
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:q"), l.ids(t, "q:q")[1]).Err())
		live := sender(t, w, "live", q)
		if err := live.Send(t.Context(), []batch.Batch{brokertest.Numbers("live", 0, 7), brokertest.Numbers("live", 7, 15)}); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		got := map[string][]string{}
		for range 20 + 15 { // no item is delivered: all entries stay in the queue
			source, text := r.item(t)
			got[source] = append(got[source], text)
		}
		l.compare(t, got["s"], []int64{5, 6, 7, 8, 9})
		if !slices.Equal(got["live"], brokertest.Offsets(0, 15)) {
			t.Errorf("received %q of the other source", got["live"])
		}
		r.cancel()
		if err := r.ended(t); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Two branches of a queue that are merged again have the offsets of one source under two names.
func TestAuditFollowsBranchesAndMerges(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		a := w.Queue(t, broker.Queue{Name: "a"})
		queues := map[string]broker.Queue{}
		for _, name := range []string{"a0", "a1", "m", "b"} {
			from := map[string][]string{"a0": {"a~0"}, "a1": {"a~1"}}[name]
			if from == nil {
				from = []string{"a~0", "a~1"}
			}
			queues[name] = w.Queue(t, broker.Queue{Name: name, From: from, Seal: true})
		}
		for _, s := range []broker.Stage{
			{ID: "copy", Kind: broker.KindCopy, Ins: []broker.Queue{a}, Outs: []broker.Out{{Queue: queues["a0"], Branch: "~0"}, {Queue: queues["a1"], Branch: "~1"}}},
			{ID: "merge", Kind: broker.KindCopy, Ins: []broker.Queue{queues["a0"], queues["a1"]}, Outs: []broker.Out{{Queue: queues["m"]}}},
			{ID: "last", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{queues["m"]}, Outs: []broker.Out{{Queue: queues["b"]}}},
		} {
			if err := w.C.Stage(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", a), 5, 20); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "b", ReceiverOptions{})
		r.waits(t, 3*time.Minute)
		l := line{World: w}
		l.move(t, "q:a", "r:a")
		r.waits(t, 3*time.Minute)
		l.branch(t, "q:a", "q:a0", "s~0")
		l.branch(t, "q:a", "q:m", "s~1")
		entries, err := l.Raw.XRange(t.Context(), l.Key("q:a"), "-", "+").Result()
		l.must(t, err)
		for _, e := range entries {
			l.must(t, l.Raw.XDel(t.Context(), l.Key("q:a"), e.ID).Err())
		}
		// Now [5,10) is in r:a for both branches, and the other ranges are further down.
		r.waits(t, 3*time.Minute)
		l.must(t, l.Raw.Del(t.Context(), l.Key("r:a")).Err())
		l.must(t, l.Raw.Del(t.Context(), l.Key("q:a0")).Err())
		select {
		case rg := <-r.Pieces():
			if rg.Entry.Source != "s~0" || rg.From != 0 || rg.To != 20 || rg.Entry.Lost == nil || rg.Entry.Lost.Code != batch.CodeLost {
				t.Errorf("[%d,%d) of %s was handed out, %+v", rg.From, rg.To, rg.Entry.Source, rg.Entry.Lost)
			}
			r.Delivered(rg.Len())
		case <-time.After(5 * time.Minute):
			t.Fatal("no lost range was handed out")
		}
		r.waits(t, 3*time.Minute) // [0,5) of s~1 waits
		r.cancel()
		_ = r.ended(t)
	})
}

// An item that one audit does not find may be between two streams. It is lost only if the next
// audit does not find it either.
func TestOneAuditDeclaresNothingLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		l := newLine(t, w)
		l.work(t)
		testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 }, "the worker has completed all entries")
		entries, err := l.Raw.XRange(t.Context(), l.Key("q:b"), "-", "+").Result()
		l.must(t, err)
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:b"), entries[0].ID).Err())
		r := receive(t, w, "b", ReceiverOptions{})
		select {
		case rg := <-r.Pieces():
			t.Fatalf("[%d,%d) was handed out, %+v", rg.From, rg.To, rg.Entry.Lost)
		case <-time.After(r.loop.auditor.interval * 3 / 2): // between the first audit and the second
		}
		synctest.Wait()
		if m := r.loop.auditor.missing["s"]; m == nil || m.absent == nil {
			t.Fatal("no audit has missed the item")
		}
		l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key("q:b"), Values: entries[0].Values}).Err())
		got := r.all(t)["s"]
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
		l.compare(t, got, nil)
	})
}
