package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// A line is a flow of 20 items in batches of 5: source s -> a -> stage -> b.
type line struct {
	brokertest.World
	a, b      broker.Queue
	unordered bool // how it is gathered
}

func newLine(t *testing.T, w brokertest.World) line {
	t.Helper()
	l := line{World: w, a: w.Queue(t, broker.Queue{Name: "a", Seal: false})}
	l.b = w.Queue(t, broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
	stage := broker.Stage{ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{l.a}, Outs: []broker.Out{{Queue: l.b}}}
	if err := w.C.Stage(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	if err := <-brokertest.Send(t.Context(), sender(t, w, "s", l.a), 5, 20); err != nil {
		t.Fatal(err)
	}
	if err := w.C.Seal(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	return l
}

// step does the work that there is now.
func (l line) step(ctx context.Context, worker string) error {
	taken, err := l.C.Take(ctx, worker, 100, 1, []broker.Route{{In: "a", Outs: []string{"b"}}})
	if err != nil {
		return err
	}
	var done []broker.Completion
	for _, e := range taken[0].Entries {
		done = append(done, broker.Completion{Entry: e, In: l.a, Outs: []broker.Output{{Queue: l.b, Batch: e.Batch}}})
	}
	_, err = l.C.Complete(ctx, done)
	return err
}

// work lets a worker run until the test has ended.
func (l line) work(t *testing.T) {
	t.Helper()
	if err := l.C.Join(t.Context(), broker.RoleWorker, "w2", nil); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		for l.step(ctx, "w2") == nil {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// ids are those of a stream.
func (l line) ids(t *testing.T, stream string) (ids []string) {
	t.Helper()
	entries, err := l.Raw.XRange(t.Context(), l.Key(stream), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// read reads entries as a consumer that nobody knows.
func (l line) read(t *testing.T, stream, consumer string) {
	t.Helper()
	err := l.Raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "w", Consumer: consumer, Streams: []string{l.Key(stream), ">"}, Count: 3, Block: -1,
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// toTheEnd sets the group of a stream behind all entries.
func (l line) toTheEnd(t *testing.T, stream string) {
	t.Helper()
	l.must(t, l.Raw.XGroupSetID(t.Context(), l.Key(stream), "w", "$").Err())
}

func (l line) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What strangers do to the streams of a flow, and which items are lost by it.
var damages = map[string]struct {
	before func(t *testing.T, l line) // any work is done
	after  func(t *testing.T, l line) // all work is done
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
	"a stranger reads what is for workers": {before: func(t *testing.T, l line) {
		t.Helper()
		l.read(t, "q:a", "stranger")
	}},
	"a stranger reads what is for the gather": {after: func(t *testing.T, l line) {
		t.Helper()
		l.read(t, "q:b", "stranger")
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

func TestDamageIsFoundAndRepairedOrTold(t *testing.T) {
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
						testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 }, "the work is done")
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

// In a queue of several sources something always waits: what one of them has lost is
// told all the same.
func TestALossIsToldBesideABacklog(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		l := line{World: w}
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 5, 20); err != nil {
			t.Fatal(err)
		}
		l.must(t, l.Raw.XDel(t.Context(), l.Key("q:q"), l.ids(t, "q:q")[1]).Err())
		lives := sender(t, w, "lives", q)
		if err := lives.Send(t.Context(), []batch.Batch{brokertest.Numbers("lives", 0, 7), brokertest.Numbers("lives", 7, 15)}); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		got := map[string][]string{}
		for range 20 + 15 { // and nothing is delivered: all of it stays in the queue
			source, text := r.item(t)
			got[source] = append(got[source], text)
		}
		l.compare(t, got["s"], []int64{5, 6, 7, 8, 9})
		if !slices.Equal(got["lives"], brokertest.Offsets(0, 15)) {
			t.Errorf("of the other source come %q", got["lives"])
		}
		r.cancel()
		if err := r.ended(t); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// compare looks whether each item came once, in order or sorted, or is lost.
func (l line) compare(t *testing.T, got []string, lost []int64) {
	t.Helper()
	want := brokertest.Offsets(0, 20)
	for _, at := range lost {
		want[at] = "lost"
	}
	for i, text := range got {
		if strings.Contains(text, "Redis lost them") {
			got[i] = "lost"
		}
	}
	if l.unordered {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("received %q, not %q", got, want)
	}
}
