package producer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// group makes a Group of a source of a queue, which batches without a look at the bounds
// of that.
func group(t *testing.T, w brokertest.World, q broker.Queue, overflow broker.OverflowPolicy) *Group {
	t.Helper()
	s := sender(t, w, "s", q, broker.Window{})
	s.source.Overflow = overflow
	return NewGroup(s, NewBatcher("s", 0, broker.Bounds{}), 0)
}

// run runs it until it is closed, and ends the source.
func (g *Group) run(ctx context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() {
		err := g.Run(ctx)
		if err == nil {
			err = g.sender.Finish(ctx, g.batcher.Next())
		}
		ended <- err
	}()
	return ended
}

// request makes a request of some items.
func (g *Group) request(items ...string) *Request {
	r := g.Request()
	for _, item := range items {
		r.Value([]byte(item))
	}
	return r
}

// inBackground is Store, in a goroutine, for a request that is there when it returns.
func (g *Group) inBackground(ctx context.Context, r *Request) <-chan told {
	done := make(chan told, 1)
	go func() {
		stored, err := g.Store(ctx, r)
		done <- told{stored, err}
	}()
	for queued := false; !queued; runtime.Gosched() {
		g.mu.Lock()
		queued = r.queued
		g.mu.Unlock()
	}
	return done
}

// batches cuts so many items into batches.
func (g *Group) batches(t *testing.T, items int64) []batch.Batch {
	t.Helper()
	g.cut(true)
	batches, _, _ := g.cut(true)
	if len(batches) == 0 || batches[len(batches)-1].End() != items {
		t.Fatalf("%d batches", len(batches))
	}
	return batches
}

type told struct {
	Stored
	err error
}

// A caller leaves while a part of its items is stored and the others are in batches
// that wait for room, and another caller while its item waits for a batch.
func TestItemsOfCallersThatLeftAreNotStored(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		g := group(t, w, w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 2}}), broker.OverflowBlock)
		ctx, leave := context.WithCancel(t.Context())
		first := g.inBackground(ctx, g.request("a", "b", "c", "d"))
		batches := g.batches(t, 4)
		parcels := Parcels(batches)
		g.begin()
		got, err := g.sender.Store(t.Context(), &parcels)
		if err := g.settle(parcels[0].First, got, err); err != nil || !got.Full {
			t.Fatal(got, err)
		}
		second := g.inBackground(ctx, g.request("e"))
		stays, flushed := g.inBackground(t.Context(), g.request("f")), g.inBackground(t.Context(), g.request())
		leave()
		for items, got := range map[int]told{0: <-second, 2: <-first} {
			if !errors.Is(got.err, context.Canceled) || errors.Is(got.err, ErrOutcomeUnknown) || got.Items != items {
				t.Errorf("a caller that left gets %+v", got)
			}
		}
		if g.begin() {
			t.Error("the batches of callers that left are stored")
		}
		ended := g.run(t.Context())
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q")
		g.Close()
		if got := r.all(t); !slices.Equal(got["s"], []string{"a", "b", "f"}) {
			t.Errorf("received %q", got)
		}
		if err := errors.Join((<-stays).err, (<-flushed).err, <-ended, r.ended(t)); err != nil {
			t.Error(err)
		}
	})
}

// A caller leaves during the call, which then stores one of its two items, and another
// caller's items do not wait for it.
func TestACallerThatLeavesDuringTheCallIsToldThatItIsNotKnown(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		g := group(t, w, w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 1}}), broker.OverflowBlock)
		ctx, leave := context.WithCancel(t.Context())
		left := g.inBackground(ctx, g.request("a", "b"))
		batches := g.batches(t, 2)
		g.begin()
		leave()
		if got := <-left; !errors.Is(got.err, ErrOutcomeUnknown) || !errors.Is(got.err, context.Canceled) {
			t.Errorf("it gets %+v", got)
		}
		parcels := Parcels(batches)
		got, err := g.sender.Store(t.Context(), &parcels)
		if err := g.settle(parcels[0].First, got, err); err != nil || !got.Full {
			t.Fatal(got, err)
		}
		if g.begin() {
			t.Error("what is left of it is stored")
		}
		stays, ended := g.inBackground(t.Context(), g.request("c")), g.run(t.Context())
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q")
		g.Close()
		if got := r.all(t); !slices.Equal(got["s"], []string{"a", "c"}) {
			t.Errorf("received %q", got)
		}
		if err := errors.Join((<-stays).err, <-ended, r.ended(t)); err != nil {
			t.Error(err)
		}
	})
}

// Senders come and leave at any time while a reader makes room. Each item is stored as often as its
// sender was told: once or never. Items whose outcome is unknown may be either.
func TestEachItemIsWhereItsSenderWasTold(t *testing.T) {
	for _, overflow := range []broker.OverflowPolicy{broker.OverflowBlock, broker.OverflowFail, broker.OverflowDropNewest} {
		t.Run(string(overflow), func(t *testing.T) {
			brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
				t.Helper()
				const senders, each = 16, 40
				g := group(t, w, w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 7}}), overflow)
				ended := g.run(t.Context())
				if err := w.C.Seal(t.Context(), "q"); err != nil {
					t.Fatal(err)
				}
				var mu sync.Mutex
				outcome := map[string]string{} // by item
				var sending sync.WaitGroup
				for sender := range senders {
					sending.Go(func() {
						random := rand.New(rand.NewPCG(1, uint64(sender)))
						for i := range each {
							items := []string{fmt.Sprintf("%d.%d.0", sender, i)}
							for random.IntN(3) == 0 {
								items = append(items, fmt.Sprintf("%d.%d.%d", sender, i, len(items)))
							}
							outcomes := g.sendAndLeave(t.Context(), random, items)
							mu.Lock()
							for j, item := range items {
								outcome[item] = outcomes[j]
							}
							mu.Unlock()
						}
					})
				}
				go func() {
					sending.Wait()
					g.Close()
				}()
				r := receive(t, w, "q")
				got := map[string]bool{}
				for source, text := r.item(t); source != ""; source, text = r.item(t) {
					if r.Delivered(1); strings.HasPrefix(text, "failed: there was no room") {
						continue
					}
					if got[text] {
						t.Errorf("%s comes twice", text)
					}
					got[text] = true
				}
				if err := errors.Join(<-ended, r.ended(t)); err != nil {
					t.Fatal(err)
				}
				for item, outcome := range outcome {
					if (outcome == "stored") != got[item] && outcome != "unknown" {
						t.Errorf("%s: its sender was told %q, and it came: %v", item, outcome, got[item])
					}
				}
			})
		})
	}
}

// sendAndLeave stores items, or leaves early. It returns the outcome of each item.
func (g *Group) sendAndLeave(ctx context.Context, random *rand.Rand, items []string) (outcomes []string) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	r := g.request(items...)
	if random.IntN(4) == 0 {
		go leave()
	}
	stored, err := g.Store(ctx, r)
	outcomes = make([]string, len(items))
	for i := range items {
		switch {
		case stored.Dropped > 0: // which of them is not told
			outcomes[i] = "unknown"
		case i < stored.Items:
			outcomes[i] = "stored"
		case errors.Is(err, ErrOutcomeUnknown):
			outcomes[i] = "unknown"
		default:
			outcomes[i] = "not stored"
		}
	}
	if len(items) == 1 && stored.Dropped == 1 {
		outcomes[0] = "not stored"
	}
	return outcomes
}

// A batch and a call allocate memory, and many requests share both.
func TestARequestAllocatesNothing(t *testing.T) {
	g := NewGroup(NewSender(nil, broker.Source{}, "", nil, broker.Window{}), NewBatcher("s", 0, broker.Bounds{}), 0)
	g.sender.portion.Store(&Portion{Items: batchItems, Batches: pendingBatches})
	r := g.Request()
	item := []byte("an item")
	if n := testing.AllocsPerRun(1000, func() {
		r.Value(item)
		if err := g.enqueue(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		g.mu.Lock()
		g.take()
		g.batcher.Rewind(g.batcher.Next())
		g.mu.Unlock()
		if err := g.settle(g.at+1, Storing{}, nil); err != nil {
			t.Fatal(err)
		}
		<-r.done
		r.reset()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
