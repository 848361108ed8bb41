package consumer

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

func TestAReceiverGoesOnWhereTheLastOneEnded(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		t.Run(fmt.Sprintf("unordered=%v", unordered), func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				q := w.Queue(t, broker.Queue{Name: "q"})
				if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 10, 35); err != nil {
					t.Fatal(err)
				}
				at := int64(0)
				for _, n := range []int64{4, 13, 3} { // within a batch, beyond it, to its end
					r := receive(t, w, "q", ReceiverOptions{Unordered: unordered})
					for range n {
						_, text := r.item(t)
						if want := brokertest.Offsets(at, at+1)[0]; text != want {
							t.Fatalf("item %s where %s was due", text, want)
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

func TestTheEndOfAStream(t *testing.T) {
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

// endOf receives sources of so many items, sealed before or after their ends.
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

// A named queue that stays open does not keep each source that ever fed it.
func TestSourcesOfAnOpenQueueAreForgotten(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q", ReceiverOptions{})
		var senders []*producer.Sender
		for i := range 3 {
			senders = append(senders, sender(t, w, fmt.Sprint("s", i), q))
			if err := <-brokertest.Send(t.Context(), senders[i], 2, 5); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				r.item(t)
				r.Delivered(1)
			}
		}
		forgotten := func() bool {
			return !slices.ContainsFunc(w.Keys(), func(key string) bool {
				_, name, _ := cutKey(key)
				return name == "s:s0" || name == "s:s1" || name == "s:s2"
			})
		}
		testkit.Eventually(t, forgotten, "the sources are gone")
		if err := senders[0].Finish(t.Context(), 5); !errors.Is(err, broker.ErrQueueNotFound) || !forgotten() {
			t.Errorf("a late end of a source that is gone: %v", err)
		}
		found, err := w.C.Look(t.Context(), "q")
		if err != nil || found.Inc != q.Inc {
			t.Fatal(found, err)
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// An open queue may get a source at any time, also after all that it had have ended.
func TestAnOpenQueueWaitsForItsNextSource(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q", ReceiverOptions{})
		for i := range 3 {
			select {
			case _, open := <-r.Pieces():
				t.Fatalf("between two sources something comes, or the end: %v", !open)
			case <-time.After(time.Hour):
			}
			if err := <-brokertest.Send(t.Context(), sender(t, w, fmt.Sprint("s", i), q), 2, 5); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				r.item(t)
				r.Delivered(1)
			}
		}
		r.cancel()
		_ = r.ended(t)
	})
}

// A gather that nobody told of the end of a source finds it by itself.
func TestAnEndThatNobodyToldIsFound(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		s := sender(t, w, "s", q)
		if err := errors.Join(s.Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 5)}), w.C.Seal(t.Context(), "q")); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		for range 5 {
			r.item(t)
			r.Delivered(1)
		}
		if n := w.Raw.Del(t.Context(), "{dq:0}:watch:q").Val(); n != 1 {
			t.Fatal("nobody would be told of the end")
		}
		if err := s.Finish(t.Context(), 5); err != nil {
			t.Fatal(err)
		}
		if source, text := r.item(t); source != "" {
			t.Errorf("behind the end comes %q", text)
		}
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
	})
}

// cutKey splits "{ns:0}:name".
func cutKey(key string) (tag, name string, ok bool) {
	for i := range key {
		if key[i] == '}' {
			return key[:i+1], key[i+2:], true
		}
	}
	return "", key, false
}

func TestADeletedQueueIsAnError(t *testing.T) {
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
			return name == "executors" || name == "e:x1" || name == "p:x1"
		}); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
	})
}

func TestAQueueHasOneReceiver(t *testing.T) {
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

// Two heirs claim what a gather that is still at work has in its hands, whatever
// short time it was there: only what the last of them delivers counts.
func TestOnlyTheLastHeirDelivers(t *testing.T) {
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
			heir := inherit(t, w, "q")
			if _, text := heir.item(t); text != "0" {
				t.Fatalf("an heir begins with %s", text)
			}
			overtaken = append(overtaken, heir)
		}
		last := overtaken[2]
		for _, r := range overtaken[:2] {
			r.Delivered(1)
			if err := r.ended(t); !errors.Is(err, broker.ErrFenced) && !errors.Is(err, broker.ErrQueueNotFound) {
				t.Errorf("one that was overtaken ends with %v", err)
			}
		}
		last.Delivered(1)
		got := last.all(t)
		if err := last.ended(t); err != nil || !slices.Equal(got["s"], brokertest.Offsets(1, 12)) {
			t.Errorf("the last heir is handed %v, %v", got, err)
		}
		if n := w.Running(t, "q"); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// The memory of a frame is used again only where all of it was in one piece: else
// another one may not have been read yet.
func TestSpentIsAWholeFrame(t *testing.T) {
	t.Parallel()
	var r Receiver
	e := &broker.Entry{Batch: batch.Batch{First: 4, N: 10, Frame: make([]byte, 50_000)}, Payload: "id"}
	again := func(p Range) bool {
		r.Spent(p)
		return &r.memory.Get(len(e.Frame))[0] == &e.Frame[0]
	}
	for _, p := range []Range{{Entry: e, From: 4, To: 13}, {Entry: e, From: 5, To: 14}} {
		if again(p) {
			t.Errorf("the memory of [%d,%d) of [4,14) is used again", p.From, p.To)
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
