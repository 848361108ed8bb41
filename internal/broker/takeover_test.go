package broker_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// aged makes the last heartbeat of a process an hour old, as after an outage, or on a server whose
// clock is an hour ahead.
func aged(t *testing.T, c *broker.Client, r broker.Role, id string) {
	t.Helper()
	old := redis.Z{Score: float64(time.Now().Add(-time.Hour).UnixMilli()), Member: id}
	if err := c.Raw().ZAdd(t.Context(), c.Key(string(r)+"s"), old).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestTakeoverNeedsDeadExecutor(t *testing.T) {
	const dead, left = "dead", "left"
	for _, end := range []string{dead, left} {
		t.Run(end, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				makeFlow(t, c, 0)
				g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
				aged(t, c, broker.RoleExecutor, "x1")
				if _, err := c.Consume(t.Context(), "g2", "x2", "b"); !errors.Is(err, broker.ErrConsumerExists) {
					t.Fatalf("the standby takes over from an executor with an old heartbeat: %v", err)
				}
				if _, err := c.Ack(t.Context(), g, nil, nil, 0, nil); err != nil {
					t.Fatal(err)
				}
				var err error
				if end == left {
					err = c.Leave(t.Context(), broker.RoleExecutor, "x1")
				} else {
					score := must[float64](t)(c.Raw().ZScore(t.Context(), c.Key("executors"), "x1").Result())
					seen := strconv.FormatFloat(score, 'f', -1, 64)
					err = c.Lease(broker.RoleExecutor, "x2", time.Minute).Fence(t.Context(), broker.RoleExecutor, "x1", seen)
				}
				if err != nil {
					t.Fatal(err)
				}
				must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x2", "b"))
				if _, err := c.Ack(t.Context(), g, nil, nil, 0, nil); !errors.Is(err, broker.ErrFenced) {
					t.Errorf("the previous gather acknowledges: %v", err)
				}
			})
		})
	}
}

// An entry keeps its payload until the gather of the current epoch acknowledges it.
func TestOnlyCurrentGatherChangesPayloads(t *testing.T) {
	const keep = 10 * time.Minute
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, large(0))}}))
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1"))))
		old := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
		r := c.Reader(old.ID, 100*time.Millisecond)
		defer r.Close()
		entries, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0)
		if err := errors.Join(err, c.Leave(t.Context(), broker.RoleExecutor, "x1")); err != nil || len(entries) != 1 {
			t.Fatalf("read %d entries, %v", len(entries), err)
		}
		current := must[broker.Gather](t)(c.Consume(t.Context(), "g2", "x2", "b"))
		lifetime := func() time.Duration { return c.Raw().PTTL(t.Context(), c.Key("f:"+entries[0].Payload)).Val() }
		if _, err := c.Ack(t.Context(), old, entries, nil, keep, nil); !errors.Is(err, broker.ErrFenced) || lifetime() >= 0 {
			t.Errorf("the previous gather acknowledges: %v; the payload has a lifetime of %v", err, lifetime())
		}
		if _, err := c.Ack(t.Context(), current, entries, nil, keep, nil); err != nil || lifetime() <= keep/2 {
			t.Errorf("the gather acknowledges: %v; the payload has a lifetime of %v", err, lifetime())
		}
	})
}

// After an outage all heartbeats are older than a lease, but the processes are alive.
func TestProcessesAreListedAfterAnOutage(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := []func() error{l.beating(t, broker.RoleWorker, "w1"), l.beating(t, broker.RoleExecutor, "x1")}
		after(t, lease/3)
		l.gate.shut()
		after(t, 3*lease)
		close(l.gate.open)
		if live := l.live(t, broker.RoleWorker); !slices.Equal(live, []string{"w1"}) {
			t.Errorf("live workers after an outage: %q", live)
		}
		for _, stop := range stop {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// If all processes have died, none is listed, although no process is left to declare them dead.
func TestProcessesAreNotListedWithoutHeartbeats(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		if err := l.c.Join(t.Context(), broker.RoleWorker, "w1", nil); err != nil {
			t.Fatal(err)
		}
		if live := l.live(t, broker.RoleWorker); !slices.Equal(live, []string{"w1"}) {
			t.Errorf("a worker that has joined is not listed: %q", live)
		}
		after(t, lease)
		began := time.Now()
		if live := l.live(t, broker.RoleWorker); len(live) > 0 || time.Since(began) > lease {
			t.Errorf("dead workers are listed after %v: %q", time.Since(began), live)
		}
	})
}
