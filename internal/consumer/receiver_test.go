package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestReceiverContinuesAfterItsPredecessor(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%v", unordered), func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				q := w.Queue(t, broker.Queue{Name: "q"})
				if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 10, 35); err != nil {
					t.Fatal(err)
				}
				at := int64(0)
				for _, n := range []int64{4, 13, 3} { // within a batch, into the next one, to its end
					r := receive(t, w, "q", ReceiverOptions{Unordered: unordered})
					for range n {
						_, text := r.item(t)
						if want := brokertest.Offsets(at, at+1)[0]; text != want {
							t.Fatalf("item %s instead of %s", text, want)
						}
						r.Delivered(1)
						at++
					}
					r.cancel()
					if err := r.ended(t); !errors.Is(err, context.Canceled) {
						t.Fatal(err)
					}
				}
				if err := w.C.Seal(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
				r := receive(t, w, "q", ReceiverOptions{Unordered: unordered})
				got := r.all(t)
				if err := r.ended(t); err != nil || !slices.Equal(got["s"], brokertest.Offsets(20, 35)) {
					t.Fatalf("the rest is %v, %v", got, err)
				}
				if n := w.Running(t, "q"); n != 0 {
					t.Fatalf("%d entries are left", n)
				}
			})
		})
	}
}

func TestEndOfStream(t *testing.T) {
	for name, counts := range map[string][]int64{"no items": {0}, "one source": {9}, "several sources": {5, 0, 12, 1}} {
		for _, sealed := range []string{"first", "last"} {
			t.Run(fmt.Sprintf("%s, sealed %s", name, sealed), func(t *testing.T) {
				brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
					t.Helper()
					endOf(t, w, counts, sealed)
				})
			})
		}
	}
}

// endOf receives sources with counts of items. The queue is sealed before or after their ends.
func endOf(t *testing.T, w brokertest.World, counts []int64, sealed string) {
	t.Helper()
	q := w.Queue(t, broker.Queue{Name: "q"})
	var senders []*producer.Sender
	for i := range counts {
		senders = append(senders, sender(t, w, fmt.Sprint("s", i), q))
	}
	seal := func() {
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
	}
	if sealed == "first" {
		seal()
	}
	r := receive(t, w, "q", ReceiverOptions{})
	want := map[string][]string{}
	for i, n := range counts {
		if err := <-brokertest.Send(t.Context(), senders[i], 2, n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			want[fmt.Sprint("s", i)] = brokertest.Offsets(0, n)
		}
	}
	if sealed == "last" {
		select {
		case err := <-r.done:
			t.Fatalf("it ended while a source could join: %v", err)
		default:
		}
		seal()
	}
	got := r.all(t)
	if err := r.ended(t); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("received %v, %v", got, err)
	}
}

func TestDeletedQueueIsAnError(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q", ReceiverOptions{})
		if err := sender(t, w, "s", q).Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 3)}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.item(t)
			r.Delivered(1)
		}
		if err := w.C.Delete(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r.all(t)
		if err := r.ended(t); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		if left := slices.DeleteFunc(w.Keys(), func(key string) bool {
			_, name, _ := cutKey(key)
			return name == "executors" || name == "watcher" || name == "e:x1" || name == "p:x1"
		}); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
	})
}

// A key of a queue is deleted while a gather reads it, as an eviction does. The gather ends, and
// the loss is reported by it or to the producer.
func TestDeletedKeysAreReported(t *testing.T) {
	for what, gone := range map[string][]string{
		"stream": {"q:q"}, "meta": {"m:q"}, "source": {"s:s"}, "all": {"q:q", "r:q", "m:q", "s:s", "src:q", "watch:q", "wait:q", "queues"},
	} {
		t.Run(what, func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				q := w.Queue(t, broker.Queue{Name: "q"})
				s, r := sender(t, w, "s", q), receive(t, w, "q", ReceiverOptions{})
				if err := s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 3)}); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					r.item(t)
					r.Delivered(1)
				}
				for _, key := range gone {
					if err := w.Raw.Del(t.Context(), w.Key(key)).Err(); err != nil {
						t.Fatal(err)
					}
				}
				sent := errors.Join(s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 3, 6)}), s.Finish(t.Context(), 6))
				if err := w.C.Seal(t.Context(), "q"); err != nil && !errors.Is(err, broker.ErrQueueNotFound) {
					t.Fatal(err)
				}
				got := r.all(t)["s"]
				lost := slices.ContainsFunc(got, func(text string) bool { return strings.HasPrefix(text, "failed: ") })
				if err := r.ended(t); err == nil && !lost && sent == nil {
					t.Errorf("it ends after %q, and the sender with %v", got, sent)
				}
			})
		})
	}
}

func TestQueueHasOneReceiver(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q", ReceiverOptions{})
		_, err := Receive(t.Context(), w.C, "q", ReceiverOptions{Executor: "x1"})
		if !errors.Is(err, broker.ErrConsumerExists) {
			t.Fatalf("a second one: %v", err)
		}
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r.all(t)
		if err := r.ended(t); err != nil {
			t.Fatal(err)
		}
	})
}

// Two successors claim the entries of a gather that still runs. Only the deliveries of the last
// successor count.
func TestOnlyTheLastSuccessorDelivers(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 3, 12); err != nil {
			t.Fatal(err)
		}
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		first := receive(t, w, "q", ReceiverOptions{})
		if _, text := first.item(t); text != "0" {
			t.Fatalf("it begins with %s", text)
		}
		overtaken := []*running{first}
		for range 2 {
			successor := inherit(t, w, "q")
			if _, text := successor.item(t); text != "0" {
				t.Fatalf("a successor begins with %s", text)
			}
			overtaken = append(overtaken, successor)
		}
		last := overtaken[2]
		for _, r := range overtaken[:2] {
			r.Delivered(1)
			if err := r.ended(t); !errors.Is(err, broker.ErrFenced) && !errors.Is(err, broker.ErrQueueNotFound) {
				t.Errorf("a fenced receiver ends with %v", err)
			}
		}
		last.Delivered(1)
		got := last.all(t)
		if err := last.ended(t); err != nil || !slices.Equal(got["s"], brokertest.Offsets(1, 12)) {
			t.Errorf("the last successor received %v, %v", got, err)
		}
		if n := w.Running(t, "q"); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// Deliveries that are reported after the end of the context are acknowledged.
func TestLastAcknowledgementIncludesLateDeliveries(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := sender(t, w, "s", q).Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 5)}); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		for range 3 {
			r.item(t)
		}
		r.cancel()
		synctest.Wait()
		r.Delivered(3)
		if err := r.ended(t); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r = receive(t, w, "q", ReceiverOptions{})
		if _, text := r.item(t); text != brokertest.Offsets(3, 4)[0] {
			t.Errorf("its successor begins with %s", text)
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// A gather that has lost a reply reads its entries again. It leaves its name in no stream of the
// queue, unless it still holds entries; then the next gather removes the name when it ends.
func TestReceiverLeavesNoConsumer(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 1, 2); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r, err := Receive(t.Context(), w.C, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			r.loop.reader.reread = true
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			<-r.Pieces()
			r.Left()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		for stream, most := range map[string]int{"q:q": 1, "r:q": 0, "x:q": 0} { // the last gather holds the item
			if names := w.Raw.XInfoConsumers(t.Context(), w.Key(stream), "w").Val(); len(names) > most {
				t.Errorf("consumers of %s: %v", stream, names)
			}
		}
	})
}

// Another program moves the groups back while a worker and the gather hold entries. Each item is
// handed out once, and a late result is superseded.
func TestResetGroupsDuplicateNoItem(t *testing.T) {
	for name, move := range map[string]func(l line, t *testing.T, stream string){"moved back": line.setBack, "made again": line.anew} {
		t.Run(name, func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				l := newLine(t, w)
				l.must(t, l.C.Join(t.Context(), broker.RoleWorker, "w1", nil))
				held, err := l.C.Take(t.Context(), "w1", 2, 1, []broker.Route{{In: "a", Outs: []string{"b"}}})
				l.must(t, err)
				move(l, t, "q:a")
				l.work(t)
				testkit.Eventually(t, func() bool { return len(l.ids(t, "q:b")) == 4 && len(l.ids(t, "q:a")) == 0 }, "another worker completes all entries")
				for _, e := range held[0].Entries {
					outcomes, err := l.C.Complete(t.Context(), []broker.Completion{{Entry: e, In: l.a, Outs: []broker.Output{{Queue: l.b, Batch: e.Batch}}}})
					if err != nil || outcomes[0] != broker.Superseded {
						t.Errorf("the late completion of an entry: %v, %v", outcomes, err)
					}
				}
				r := receive(t, w, "b", ReceiverOptions{})
				_, first := r.item(t)
				r.Delivered(1)
				move(l, t, "q:b")
				got := append([]string{first}, r.all(t)["s"]...)
				if err := r.ended(t); err != nil || !slices.Equal(got, brokertest.Offsets(0, 20)) {
					t.Errorf("received %q, %v", got, err)
				}
				if left := append(l.ids(t, "q:a"), l.ids(t, "q:b")...); len(held[0].Entries) != 2 || len(left) > 0 {
					t.Errorf("of %d entries that were held, %v are left", len(held[0].Entries), left)
				}
			})
		})
	}
}

// The memory of a frame is used again only if one range has all its items: otherwise another range
// may still be read.
func TestSpentReusesWholeFrames(t *testing.T) {
	t.Parallel()
	r := Receiver{memory: new(batch.Memory)}
	e := &broker.Entry{Batch: batch.Batch{First: 4, N: 10, Frame: make([]byte, 50_000)}, Payload: "id"}
	again := func(rg Range) bool {
		r.Spent(rg)
		return &r.memory.Get(len(e.Frame))[0] == &e.Frame[0]
	}
	for _, rg := range []Range{{Entry: e, From: 4, To: 13}, {Entry: e, From: 5, To: 14}} {
		if again(rg) {
			t.Errorf("the memory of [%d,%d) of [4,14) is used again", rg.From, rg.To)
		}
	}
	inline := *e
	inline.Payload = ""
	if again(Range{Entry: &inline, From: 4, To: 14}) {
		t.Error("the memory of a reply is used again")
	}
	if !again(Range{Entry: e, From: 4, To: 14}) {
		t.Error("the memory of a whole frame is not used again")
	}
}
