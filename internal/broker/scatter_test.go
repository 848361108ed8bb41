package broker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// An epoch belongs to one holder: neither the next source of the same name, after the first one is
// delivered and deleted, nor the sources and gathers of the next queue of that name get it again.
func TestEpochsAreUnique(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q := orders(t, c)
		first := scatterShop(t, c, q, 0, 2)
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "orders"))
		ack := func(g broker.Gather, m broker.Mark) error {
			_, err := c.Ack(t.Context(), g, nil, []broker.Mark{m}, 0, func(string) string { return "orders" })
			return err
		}
		if err := errors.Join(c.Finish(t.Context(), first, 2), ack(g, broker.Mark{Source: "shop", Delivered: "2", Low: 2, Retire: true})); err != nil {
			t.Fatal(err)
		}
		second := scatterShop(t, c, q, 0, 1)
		doesNothing(t, c, first)
		if err := c.Delete(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		q = orders(t, c)
		scatterShop(t, c, q, 0, 1)
		heir := must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x1", "orders"))
		doesNothing(t, c, first)
		scatterShop(t, c, q, 1, 0) // its epoch number is that of the second source
		doesNothing(t, c, second)
		if err := ack(g, broker.Mark{Source: "shop", Delivered: "1", Low: 1}); !errors.Is(err, broker.ErrFenced) {
			t.Errorf("a gather of the queue that was deleted acknowledges: %v", err)
		}
		if err := c.Release(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if err := ack(heir, broker.Mark{Source: "shop", Delivered: "0", Low: 0}); err != nil {
			t.Errorf("the gather of the queue that is there: %v", err)
		}
		if found, err := c.Look(t.Context(), "orders"); err != nil || found.Consumer != "gather:g2" {
			t.Errorf("its consumer is %q, %v", found.Consumer, err)
		}
	})
}

// orders makes a permanent queue.
func orders(t *testing.T, c *broker.Client) broker.Queue {
	t.Helper()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// scatterShop makes or takes over the source of that name, and stores n items at offset from.
func scatterShop(t *testing.T, c *broker.Client, q broker.Queue, from, n int64) broker.Source {
	t.Helper()
	s, stored, err := c.Source(t.Context(), "shop", q, 0)
	if err != nil || stored != from {
		t.Fatalf("it begins at %d and not %d, %v", stored, from, err)
	}
	for at := range n {
		must[broker.Scattered](t)(c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("shop", from+at, "item")}}))
	}
	return s
}

// doesNothing tries the calls of a process that wakes up with an old source.
func doesNothing(t *testing.T, c *broker.Client, s broker.Source) {
	t.Helper()
	_, err := c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("shop", 1, "late")}})
	for what, err := range map[string]error{"adds": err, "ends": c.Finish(t.Context(), s, 1), "gives up": c.Abandon(t.Context(), s, "late")} {
		if !errors.Is(err, broker.ErrFenced) && !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("a source of old %s: %v", what, err)
		}
	}
}

// A failover loses the tail of a source, or only its end. The end is stored again, and the items
// missing before it become failures.
func TestLostEndIsStoredAgain(t *testing.T) {
	for what, left := range map[string]int64{"its end": 3, "its tail": 1, "all of it": 0} {
		t.Run(what, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				f := makeFlow(t, c, 0)
				must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{
					{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, "two", "three")},
				}))
				if err := c.Finish(t.Context(), f.source, 3); err != nil {
					t.Fatal(err)
				}
				raw := c.Raw()
				entries := raw.XRange(t.Context(), c.Key("q:a"), "-", "+").Val()
				raw.HSet(t.Context(), c.Key("s:s1"), "stored", left, "end", -1)
				for i, first := range []int64{0, 1} {
					if first >= left {
						raw.XDel(t.Context(), c.Key("q:a"), entries[i].ID)
					}
				}
				for range 2 {
					if err := c.Finish(t.Context(), f.source, 3); err != nil {
						t.Fatal(err)
					}
				}
				if stored := raw.HMGet(t.Context(), c.Key("s:s1"), "stored", "end").Val(); stored[0] != "3" || stored[1] != "3" {
					t.Errorf("stored and end are %v", stored)
				}
				at := int64(0)
				for _, e := range f.takeAll(t, c, "w1") {
					if e.First != at || (e.Lost != nil) != (at >= left) || e.Lost != nil && e.Lost.Code != batch.CodeLost {
						t.Errorf("at %d comes %+v", at, e.Batch)
					}
					at = e.End()
				}
				if at != 3 {
					t.Errorf("%d items come", at)
				}
				if err := c.Finish(t.Context(), f.source, 2); !errors.Is(err, broker.ErrFenced) {
					t.Errorf("it ends before its last item: %v", err)
				}
			})
		})
	}
}

// A failing hook makes an unrelated call fail.
type failing struct {
	redis.Hook
	fail func()
}

func (failing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (failing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f failing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		f.fail()
		return next(ctx, cmd)
	}
}

// A source that is gone was either ended by an earlier attempt of the same call, or not ended. The
// failure of another call does not decide that.
func TestFinishOfDeletedSourceFails(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		if err := c.Raw().Del(t.Context(), c.Key("s:s1")).Err(); err != nil {
			t.Fatal(err)
		}
		c.Raw().AddHook(failing{fail: c.CountFailure})
		if err := c.Finish(t.Context(), f.source, 3); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("a source that is gone ends with %v", err)
		}
	})
}

// A call with a lost reply is repeated and drops no item twice. Dropped items leave no payload, and
// only unread items are dropped.
func TestRepeatedDropOldestDropsOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx, large := t.Context(), strings.Repeat("x", 5000)
		q, _, err := c.Declare(ctx, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 4}})
		if err != nil {
			t.Fatal(err)
		}
		a, _, err := c.Source(ctx, "a", q, 0)
		b, _, errB := c.Source(ctx, "b", q, 0)
		if err != nil || errB != nil {
			t.Fatal(err, errB)
		}
		a.Overflow = broker.OverflowDropOldest
		store := func(s broker.Source, first int64, items ...string) broker.Scattered {
			t.Helper()
			parcels := []broker.Parcel{{Batch: framed(s.Name, first, items...)}}
			return must[broker.Scattered](t)(c.Scatter(ctx, s, "x", broker.Window{}, parcels))
		}
		store(a, 0, "read", "read")
		if taken := must[[]broker.Taken](t)(c.Take(ctx, "w1", 1, 1, []broker.Route{{In: "q"}})); len(taken[0].Entries) != 1 {
			t.Fatalf("took %+v", taken)
		}
		store(b, 0, large)
		store(a, 2, large, "kept?", "kept")
		for range 2 {
			if got := store(a, 5, "new", "newer"); got.Stored != 7 || got.Full {
				t.Fatalf("%+v", got)
			}
		}
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "q"))
		sources, _ := watched(t, c, g, "q")
		if !sources["a"].Dropped || gaps(t, c, "a") != "2-5" || !sources["b"].Dropped || gaps(t, c, "b") != "0-1" {
			t.Errorf("%+v, gaps %q and %q", sources, gaps(t, c, "a"), gaps(t, c, "b"))
		}
		found := must[broker.Queue](t)(c.Look(ctx, "q"))
		backlog, err := c.Waiting(ctx, "q")
		if err != nil || found.Dropped != 4 || backlog.Items != 2 {
			t.Errorf("%d dropped, %d wait, %v", found.Dropped, backlog.Items, err)
		}
		if keys := must[[]string](t)(c.Raw().Keys(ctx, c.Key("f:*")).Result()); len(keys) > 0 {
			t.Errorf("payloads are left: %q", keys)
		}
	})
}

// Dropped items do not count in the window, and their ranges are deleted when they are delivered.
func TestDroppedItemsDoNotCountInWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		ctx := t.Context()
		q, _, err := c.Declare(ctx, broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := c.Source(ctx, "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		s.Overflow = broker.OverflowDropNewest
		var parcels []broker.Parcel
		for at := range int64(10) {
			parcels = append(parcels, broker.Parcel{Batch: framed("s", at, "item")})
		}
		must[broker.Scattered](t)(c.Scatter(ctx, s, "x", broker.Window{Items: 3}, parcels))
		g := must[broker.Gather](t)(c.Consume(ctx, "g", "x", "q"))
		for _, step := range []struct {
			low  int64
			gaps string
			room int64
		}{{0, "3-10", 0}, {1, "3-10", 1}, {3, "3-10", 3}, {5, "3-10", 3}, {10, "", 3}} {
			marks := []broker.Mark{{Source: "s", Delivered: "0", Low: step.low}}
			if _, err := c.Ack(ctx, g, nil, marks, 0, func(string) string { return "q" }); err != nil {
				t.Fatal(err)
			}
			got := must[broker.Scattered](t)(c.Scatter(ctx, s, "x", broker.Window{Items: 3}, nil))
			if gaps(t, c, "s") != step.gaps || got.Room != step.room {
				t.Errorf("delivered to %d: gaps %q, room %d", step.low, gaps(t, c, "s"), got.Room)
			}
		}
		kept := must[[]broker.Taken](t)(c.Take(ctx, "w1", 10, 1, []broker.Route{{In: "q"}}))[0].Entries
		if offsets := slices.Collect(func(yield func(int64) bool) {
			for _, e := range kept {
				yield(e.First)
			}
		}); !slices.Equal(offsets, []int64{0, 1, 2}) {
			t.Errorf("kept %v", offsets)
		}
	})
}
