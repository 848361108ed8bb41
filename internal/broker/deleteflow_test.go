package broker_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// fillTo stores entries in the root queue of a flow, one of which has a payload, and lets w1 hold some.
func (f flow) fillTo(t *testing.T, c *broker.Client, entries int64) {
	t.Helper()
	var many []broker.Parcel
	for at := range entries - 1 {
		many = append(many, broker.Parcel{Batch: framed("s1", at, "x")})
	}
	many = append(many, broker.Parcel{Batch: framed("s1", entries-1, large(1))})
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, many))
	f.takeAll(t, c, "w1")
}

// The queues of a whole flow are deleted by one call, which tells its gather. Other deletions take several.
func TestFlowIsDeletedInOneStep(t *testing.T) {
	for name, ways := range map[string]struct {
		entries int64
		first   []string // queues that are deleted first
		calls   int64    // of mark_deleting.lua
	}{
		"whole flow":    {10, []string{"a", "b"}, 0},
		"other order":   {10, []string{"b", "a"}, 0},
		"many entries":  {600, []string{"a", "b"}, 2},
		"out-queue":     {10, []string{"b"}, 1},
		"missing queue": {10, []string{"a", "b", "never"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				c.MeasureCalls()
				f := makeFlow(t, c, 0)
				f.fillTo(t, c, ways.entries)
				g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
				must[broker.Watched](t)(c.Watch(t.Context(), g, broker.Path{Queue: "a"}, "0"))
				if err := c.DeleteAll(t.Context(), ways.first); err != nil {
					t.Fatal(err)
				}
				marked := c.Calls().Times["mark_deleting"]
				if n := marked.Count(); n != ways.calls {
					t.Errorf("%d queues were marked, want %d", n, ways.calls)
				}
				if slices.Contains(ways.first, "a") {
					hints := c.Raw().XRange(t.Context(), c.Key("p:g1"), "-", "+").Val()
					if len(hints) != 1 || hints[0].Values["m"] != broker.HintGone || hints[0].Values["w"] != "a" {
						t.Errorf("the gather was told %v", hints)
					}
				} else if q := must[broker.Queue](t)(c.Look(t.Context(), "a")); q.Consumer != "" || c.Raw().HLen(t.Context(), c.Key("stages")).Val() != 0 {
					t.Errorf("the in-queue has the consumer %q", q.Consumer)
				}
				if err := c.DeleteAll(t.Context(), []string{"a", "b"}); err != nil {
					t.Fatal(err)
				}
				if err := c.Release(t.Context(), g); err != nil {
					t.Fatal(err)
				}
				if left := leftOf(t, c); len(left) != 0 {
					t.Errorf("left: %q", left)
				}
			})
		})
	}
}

// A gather takes over the entries that a worker holds of a stage that has gone.
func TestGatherInheritsEntriesOfStage(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		f.fillTo(t, c, 3)
		if err := c.Unstage(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "a"))
		if got := must[[]broker.Entry](t)(c.Inherit(t.Context(), g)); len(got) != 3 {
			t.Errorf("inherited %d entries of 3", len(got))
		}
	})
}

// While several queues are ready, each worker is told of another one first.
func TestReadyQueuesAreShared(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		for _, name := range []string{"n1", "n2"} {
			in := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: name})))
			out := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: name + ".up", From: []string{name}, Seal: true})))
			source, _, err := c.Source(t.Context(), "s."+name, in, 1)
			if err == nil {
				err = c.Stage(t.Context(), broker.Stage{ID: out.Name, Kind: broker.KindMap, Function: "up", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}}})
			}
			if err != nil {
				t.Fatal(err)
			}
			must[broker.Scattered](t)(c.Scatter(t.Context(), source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(source.Name, 0, "x")}, {Batch: framed(source.Name, 1, "x")}}))
		}
		var named []string
		for _, worker := range []string{"w2", "w3", "w2"} {
			got := must[broker.ReadyReply](t)(c.Ready(t.Context(), broker.ReadyQuery{Worker: worker, Class: ups, Count: 1, Pace: pace}))
			for _, q := range got.Queues {
				named = append(named, q.Queue)
			}
		}
		if want := []string{"n1", "n2", "n1"}; !slices.Equal(named, want) {
			t.Errorf("ready are %v, want %v", named, want)
		}
	})
}

// The queues around a stage are deleted before any request of a change of the stage. The change makes no key
// of them anew.
func TestDeletedStagesStayDeleted(t *testing.T) {
	for name, ways := range map[string]struct {
		deleted []string
		change  func(ctx context.Context, c *broker.Client, second broker.Stage) error
	}{
		"unstage": {[]string{"b", "c"}, func(ctx context.Context, c *broker.Client, s broker.Stage) error {
			return c.Unstage(ctx, s.ID)
		}},
		"unstage all": {[]string{"a", "b", "c"}, func(ctx context.Context, c *broker.Client, s broker.Stage) error {
			return c.Unstage(ctx, s.ID)
		}},
		"stage": {[]string{"b", "c"}, func(ctx context.Context, c *broker.Client, s broker.Stage) error {
			s.Timeout++
			return c.Stage(ctx, s)
		}},
		"stage all": {[]string{"a", "b", "c"}, func(ctx context.Context, c *broker.Client, s broker.Stage) error {
			s.Timeout++
			return c.Stage(ctx, s)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				b := &between{}
				c.Raw().AddHook(b)
				for at, met := 1, true; met; at++ {
					f := makeFlow(t, c, 0)
					f.extend(t, c, f.b, "c", "x1")
					second := must[[]broker.Stage](t)(c.StagesOf(t.Context(), []string{"c"}))[0]
					*b = between{at: at, do: func() {
						if err := c.DeleteAll(t.Context(), ways.deleted); err != nil {
							t.Error(err)
						}
					}}
					err := ways.change(t.Context(), c, second)
					if met = b.at <= 0; met && err != nil && !broker.IsGone(err) {
						t.Fatal(err)
					}
					*b = between{}
					if leaves := c.Raw().HGet(t.Context(), c.Key("m:a"), "leaves").Val(); met && leaves != "" && leaves != "a" {
						t.Errorf("deleted before request %d: the leaves are %q", at, leaves)
					}
					if err := c.DeleteAll(t.Context(), []string{"a"}); err != nil {
						t.Error(err)
					}
					if left := c.Raw().Keys(t.Context(), c.Key("[md]:*")).Val(); met && len(left) > 0 {
						t.Errorf("deleted before request %d: %q are left", at, left)
					}
				}
			})
		})
	}
}
