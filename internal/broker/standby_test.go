package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// hints takes the hints out of a mailbox.
func hints(t *testing.T, c *broker.Client, id string) (kinds []string) {
	t.Helper()
	messages, err := c.Raw().XRange(t.Context(), c.Key("p:"+id), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		kinds = append(kinds, fmt.Sprint(m.Values["m"], " ", m.Values["w"]))
		if err := c.Raw().XDel(t.Context(), c.Key("p:"+id), m.ID).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return kinds
}

// A standby gets one hint for each way in which a gather loses its queue.
func TestStandbysGetHintFree(t *testing.T) {
	ways := map[string]func(t *testing.T, c *broker.Client, g broker.Gather) error{
		"it is released": func(t *testing.T, c *broker.Client, g broker.Gather) error { return c.Release(t.Context(), g) },
		"its executor is dead": func(t *testing.T, c *broker.Client, _ broker.Gather) error {
			beat, err := c.Raw().ZScore(t.Context(), c.Key("executors"), "holder").Result()
			l := c.Lease(broker.RoleExecutor, "x2", time.Minute)
			return errors.Join(err, l.Fence(t.Context(), broker.RoleExecutor, "holder", fmt.Sprint(int64(beat))))
		},
		"its executor leaves": func(t *testing.T, c *broker.Client, _ broker.Gather) error {
			return c.Leave(t.Context(), broker.RoleExecutor, "holder")
		},
		"it is deleted": func(t *testing.T, c *broker.Client, _ broker.Gather) error { return c.Delete(t.Context(), "q") },
	}
	onBoth(t, func(t *testing.T, c *broker.Client) {
		for way, lose := range ways {
			for _, id := range []string{"holder", "x2", "x3"} {
				if err := c.Join(t.Context(), broker.RoleExecutor, id, nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"q", "other"} {
				must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: name})))
				must[broker.Gather](t)(c.Consume(t.Context(), name+" "+way, "holder", name))
			}
			for _, id := range []string{"x2", "x3", "x2"} {
				if free, err := c.Standby(t.Context(), id, "q", time.Minute); free || err != nil {
					t.Fatal(way, free, err)
				}
			}
			g := broker.Gather{ID: "q " + way, Queue: must[broker.Queue](t)(c.Look(t.Context(), "q")), Epoch: 1}
			if err := lose(t, c, g.Late()); err != nil {
				t.Fatal(way, err)
			}
			for _, id := range []string{"x2", "x3"} {
				if got := hints(t, c, id); !slices.Equal(got, []string{"free q"}) {
					t.Errorf("%s: %s is told %q", way, id, got)
				}
			}
			free, err := c.Standby(t.Context(), "x2", "q", time.Minute)
			if gone := way == "it is deleted"; free == gone || errors.Is(err, broker.ErrQueueNotFound) != gone {
				t.Errorf("%s: then %v, %v", way, free, err)
			}
			if n := c.Raw().Exists(t.Context(), c.Key("standby:q"), c.Key("awaited:holder")).Val(); n != 0 {
				t.Errorf("%s: %d keys are left", way, n)
			}
			if err := c.DeleteAll(t.Context(), []string{"q", "other"}); err != nil {
				t.Fatal(way, err)
			}
		}
	})
}

// The next call removes a thousand standbys that have died.
func TestSilentStandbyIsRemoved(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "q"})))
		if err := c.Join(t.Context(), broker.RoleExecutor, "holder", nil); err != nil {
			t.Fatal(err)
		}
		must[broker.Gather](t)(c.Consume(t.Context(), "g", "holder", "q"))
		for i := range 1000 {
			if err := c.Raw().ZAdd(t.Context(), c.Key("standby:q"), redis.Z{Score: float64(i), Member: i}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if free, err := c.Standby(t.Context(), "x2", "q", time.Minute); free || err != nil {
				t.Fatal(free, err)
			}
			if left := c.Raw().ZRange(t.Context(), c.Key("standby:q"), 0, -1).Val(); !slices.Equal(left, []string{c.Key("p:x2")}) {
				t.Errorf("%q wait", left)
			}
		}
		if err := errors.Join(c.StandDown(t.Context(), "x2", "q"), c.StandDown(t.Context(), "x2", "q")); err != nil {
			t.Error(err)
		}
		if n := c.Raw().Exists(t.Context(), c.Key("standby:q")).Val(); n != 0 {
			t.Error("one that stands down waits")
		}
	})
}
