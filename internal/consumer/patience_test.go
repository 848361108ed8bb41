package consumer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// inBubble runs a test on the embedded broker in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, w brokertest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		test(t, brokertest.Embedded(t, server, "dq"))
	})
}

// waits lets time pass in which nothing comes.
func (r *running) waits(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case p := <-r.Pieces():
		t.Fatalf("[%d,%d) comes, %+v", p.From, p.To, p.Entry.Lost)
	case <-time.After(d):
	}
	synctest.Wait()
	if len(r.auditor.misses) == 0 {
		t.Error("no item is missed")
	}
}

// move puts the second entry of a stream into another one.
func (l line) move(t *testing.T, from, to string) {
	t.Helper()
	entries, err := l.Raw.XRange(t.Context(), l.Key(from), "-", "+").Result()
	l.must(t, err)
	e := entries[min(1, len(entries)-1)]
	l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key(to), Values: e.Values}).Err())
	l.must(t, l.Raw.XDel(t.Context(), l.Key(from), e.ID).Err())
}

// Two branches of a queue that are merged again have the offsets of one source
// under two names, and a flow may lie behind another one.
func TestTheWayOfItems(t *testing.T) {
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
		// Now [5,10) waits in r:a for both branches, and the others further down.
		r.waits(t, 3*time.Minute)
		l.must(t, l.Raw.Del(t.Context(), l.Key("r:a")).Err())
		l.must(t, l.Raw.Del(t.Context(), l.Key("q:a0")).Err())
		select {
		case p := <-r.Pieces():
			if p.Entry.Source != "s~0" || p.From != 0 || p.To != 20 || p.Entry.Lost == nil || p.Entry.Lost.Code != batch.CodeLost {
				t.Errorf("[%d,%d) of %s comes, %+v", p.From, p.To, p.Entry.Source, p.Entry.Lost)
			}
			r.Delivered(p.Len())
		case <-time.After(5 * time.Minute):
			t.Fatal("what is lost does not come")
		}
		r.waits(t, 3*time.Minute) // [0,5) of s~1 waits
		r.cancel()
		_ = r.ended(t)
	})
}

// branch copies a stream as one of the branches of its source.
func (l line) branch(t *testing.T, from, to, source string) {
	t.Helper()
	entries, err := l.Raw.XRange(t.Context(), l.Key(from), "-", "+").Result()
	l.must(t, err)
	for _, e := range entries {
		e.Values["s"] = source
		l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key(to), Values: e.Values}).Err())
	}
}

// What one audit does not find may have been on its way between two streams:
// only what the next one misses as well is lost.
func TestOneAuditDeclaresNothingLost(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		l := newLine(t, w)
		l.work(t)
		testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 }, "the work is done")
		entries, err := l.Raw.XRange(t.Context(), l.Key("q:b"), "-", "+").Result()
		l.must(t, err)
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:b"), entries[0].ID).Err())
		r := receive(t, w, "b", ReceiverOptions{})
		select {
		case p := <-r.Pieces():
			t.Fatalf("[%d,%d) comes, %+v", p.From, p.To, p.Entry.Lost)
		case <-time.After(r.auditor.pace * 3 / 2): // between the first audit and the second
		}
		synctest.Wait()
		if m := r.auditor.misses["s"]; m == nil || m.absent == nil {
			t.Fatal("no audit has found that an item is nowhere")
		}
		l.must(t, l.Raw.XAdd(t.Context(), &redis.XAddArgs{Stream: l.Key("q:b"), Values: entries[0].Values}).Err())
		got := r.all(t)["s"]
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
		l.compare(t, got, nil)
	})
}
