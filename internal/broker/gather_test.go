package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// ended makes a source of two items that has ended.
func ended(t *testing.T, c *broker.Client, q broker.Queue, name string, opts ...broker.SourceOption) broker.Source {
	t.Helper()
	s, _, err := c.Source(t.Context(), name, q, 0, opts...)
	if err == nil {
		_, err = c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(name, 0, "one", "two")}})
	}
	if err == nil {
		err = c.Finish(t.Context(), s, 2)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deliver acknowledges both items of an ended source, under its name in the gathered queue.
func deliver(t *testing.T, c *broker.Client, g broker.Gather, name string) {
	t.Helper()
	mark := broker.Mark{Source: name, Delivered: "2", Low: 2, Retire: true}
	if _, err := c.Ack(t.Context(), g, nil, []broker.Mark{mark}, 0, func(string) string { return "q" }); err != nil {
		t.Fatal(err)
	}
}

// kept returns the keys and fields that contain the name of a source.
func kept(t *testing.T, c *broker.Client, name string) (found []string) {
	t.Helper()
	for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("*")).Result()) {
		kind := c.Raw().Type(t.Context(), key).Val()
		_, short, _ := strings.Cut(key, "}:")
		if strings.HasSuffix(short, ":"+name) {
			found = append(found, short)
		}
		var members []string
		switch kind {
		case "hash":
			members = c.Raw().HKeys(t.Context(), key).Val()
		case "zset":
			members = c.Raw().ZRange(t.Context(), key, 0, -1).Val()
		case "set":
			members = c.Raw().SMembers(t.Context(), key).Val()
		}
		for _, member := range members {
			if member == name || strings.HasPrefix(member, name+"~") || strings.HasSuffix(member, " "+name) {
				found = append(found, short+" "+member)
			}
		}
	}
	slices.Sort(found)
	return found
}

// A source that all leaves of its queue have delivered leaves no key. A durable source leaves a
// field with its end.
func TestDeliveredSourceIsDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g", "x1", "q"))
		for name, opts := range map[string][]broker.SourceOption{"plain": nil, "named": {broker.Durable()}} {
			s := ended(t, c, q, name, opts...)
			deliver(t, c, g, name)
			want := map[string][]string{"named": {"named:q named"}}[name]
			if got := kept(t, c, name); !slices.Equal(got, want) {
				t.Errorf("of source %s stay %q", name, got)
			}
			late := broker.Mark{Source: name, Delivered: "0"}
			if _, err := c.Ack(t.Context(), g, nil, []broker.Mark{late}, 0, func(string) string { return "q" }); err != nil {
				t.Fatal(err)
			}
			if got := kept(t, c, name); !slices.Equal(got, want) {
				t.Errorf("a late mark of source %s leaves %q", name, got)
			}
			if _, err := c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(name, 2, "late")}}); !errors.Is(err, broker.ErrFenced) {
				t.Errorf("source %s goes on: %v", name, err)
			}
		}
		if _, at, err := c.Source(t.Context(), "named", q, 0); !errors.Is(err, broker.ErrEnded) || at != 2 {
			t.Errorf("a named source that has ended begins again at %d, %v", at, err)
		}
		other, _, err := c.Declare(t.Context(), broker.Queue{Name: "other"})
		if err != nil {
			t.Fatal(err)
		}
		old := broker.Source{Name: "plain", Queue: q, Epoch: 1}
		if ended(t, c, other, "plain"); c.Finish(t.Context(), old, 2) == nil {
			t.Error("a holder of a forgotten source ends the source of its name in another queue")
		}
		if err := c.Delete(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, c, "named"); len(got) > 0 {
			t.Errorf("behind the deletion of its queue stay %q", got)
		}
	})
}

// branched makes the queues q0 and q1 as branches of q.
func branched(t *testing.T, c *broker.Client) (q broker.Queue) {
	t.Helper()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q"})
	stage := broker.Stage{ID: "copy", Kind: broker.KindCopy, Ins: []broker.Queue{q}}
	for i := 0; i < 2 && err == nil; i++ {
		var out broker.Queue
		out, _, err = c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i), From: []string{fmt.Sprint("q~", i)}})
		stage.Outs = append(stage.Outs, broker.Out{Queue: out, Branch: fmt.Sprint("~", i)})
	}
	if err == nil {
		err = c.Stage(t.Context(), stage)
	}
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// A source of a multiplexed queue stays until the last branch has delivered it, or is deleted. A
// branch that has delivered it gets no further hints about it.
func TestSourceStaysForLastBranch(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q := branched(t, c)
		var gathers []broker.Gather
		for i := range 2 {
			gathers = append(gathers, must[broker.Gather](t)(c.Consume(t.Context(), fmt.Sprint("g", i), "x1", fmt.Sprint("q", i))))
		}
		for _, name := range []string{"both", "one"} {
			ended(t, c, q, name)
			deliver(t, c, gathers[0], name+"~0")
		}
		w := must[broker.Watched](t)(c.Watch(t.Context(), gathers[0], broker.Path{Queue: "q", Branch: "~0"}, "0"))
		if len(w.Sources) > 0 || len(kept(t, c, "both")) == 0 {
			t.Errorf("the first branch is told of %v, kept is %q", w.Sources, kept(t, c, "both"))
		}
		deliver(t, c, gathers[1], "both~1")
		if got := kept(t, c, "both"); len(got) > 0 {
			t.Errorf("both branches have delivered it, and %q stays", got)
		}
		if w := must[broker.Watched](t)(c.Watch(t.Context(), gathers[1], broker.Path{Queue: "q", Branch: "~1"}, "0")); len(w.Sources) != 1 {
			t.Errorf("the second branch is told of %v", w.Sources)
		}
		if err := c.Delete(t.Context(), "q1"); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, c, "one"); len(got) > 0 {
			t.Errorf("the branch that had not delivered it is deleted, and %q stays", got)
		}
		if err := errors.Join(c.Delete(t.Context(), "q0"), c.Delete(t.Context(), "q")); err != nil {
			t.Fatal(err)
		}
	})
}

// A deleted queue leaves no field and no member in the sources and queues that stay.
func TestDeletedQueueLeavesNoKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q := branched(t, c)
		s, _, err := c.Source(t.Context(), "s", q, 0)
		if err == nil {
			_, err = c.Scatter(t.Context(), s, "x1", broker.Window{Items: 5}, []broker.Parcel{{Batch: framed("s", 0, "one", "two")}})
		}
		if err != nil {
			t.Fatal(err)
		}
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g", "x1", "q1"))
		must[broker.Watched](t)(c.Watch(t.Context(), g, broker.Path{Queue: "q", Branch: "~1"}, "0"))
		mark := broker.Mark{Source: "s~1", Delivered: "1", Low: 1}
		if _, err := c.Ack(t.Context(), g, nil, []broker.Mark{mark}, 0, func(string) string { return "q" }); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(t.Context(), "q1"); err != nil {
			t.Fatal(err)
		}
		for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("*")).Result()) {
			if strings.HasSuffix(key, "q1") {
				t.Errorf("key %s stays", key)
			}
			for field, value := range c.Raw().HGetAll(t.Context(), key).Val() {
				if strings.Contains(field, "q1") || strings.Contains(value, "q1") {
					t.Errorf("field %s of %s stays: %s", field, key, value)
				}
			}
			for _, member := range append(c.Raw().SMembers(t.Context(), key).Val(), c.Raw().ZRange(t.Context(), key, 0, -1).Val()...) {
				if strings.Contains(member, "q1") || strings.HasSuffix(member, ":p:g") {
					t.Errorf("member %s of %s stays", member, key)
				}
			}
		}
		if _, err := c.Watch(t.Context(), g, broker.Path{Queue: "q", Branch: "~1"}, "0"); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("a gather of the deleted queue watches on: %v", err)
		}
	})
}

// Only existing leaves hold the window of a producer. The mark of a former leaf, which a source may
// still have for a while, does not count.
func TestDeletedLeafHoldsNoWindow(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q := branched(t, c)
		s, _, err := c.Source(t.Context(), "s", q, 0)
		if err == nil {
			err = c.Raw().HSet(t.Context(), c.Key("s:s"), "g:q0~0", 3, "g:q1~1", 1, "g:old", 0).Err()
		}
		if err != nil {
			t.Fatal(err)
		}
		got := must[broker.Scattered](t)(c.Scatter(t.Context(), s, "x1", broker.Window{Items: 5}, nil))
		if got.Low != 1 || got.Room != 6 {
			t.Errorf("delivered up to %d, room for %d", got.Low, got.Room)
		}
	})
}
