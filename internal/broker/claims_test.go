package broker_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// forMany reports whether Ready names a queue to any worker that asks: no claim keeps it for one.
func forMany(t *testing.T, c *broker.Client, queue string) bool {
	t.Helper()
	for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("ready:*")).Result()) {
		if score, err := c.Raw().ZScore(t.Context(), key, queue).Result(); err == nil {
			return score != float64(int64(score))
		}
	}
	t.Fatalf("queue %s is not ready", queue)
	return false
}

// endClaim lets the claim of a queue end, as its time does.
func endClaim(t *testing.T, c *broker.Client, queue string) {
	t.Helper()
	for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("ready:*")).Result()) {
		if err := c.Raw().ZAddXX(t.Context(), key, redis.Z{Score: 1e12, Member: queue}).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// A queue with a single entry is named to one worker: to the one that was rung, or to the first that asks.
func TestSingleEntryIsForOneWorker(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3", "w4")
		f.fill(t, c, 0, 1)
		if got := rung(t, c, "a", "w2", "w3", "w4"); len(got) != 1 || got[0] != "w4" {
			t.Fatalf("rung: %v", got)
		}
		if got := look(t, c, ups, "w3"); len(got.Queues) > 0 || !got.Idle {
			t.Errorf("a worker that was not rung gets %+v", got)
		}
		f.takes(t, c, "w4", 1)
		for _, worker := range []string{"w2", "w3"} { // no worker waits when the next entry comes
			ask(t, c, worker)
		}
		f.fill(t, c, 1, 1)
		if got := ask(t, c, "w2"); len(got.Queues) != 1 {
			t.Errorf("the first worker that asks gets %+v", got)
		}
		if got := ask(t, c, "w3"); len(got.Queues) > 0 {
			t.Errorf("the second one gets %+v", got)
		}
	})
}

// ask asks for ready queues and does not wait.
func ask(t *testing.T, c *broker.Client, worker string) broker.ReadyReply {
	t.Helper()
	return must[broker.ReadyReply](t)(c.Ready(t.Context(), broker.ReadyQuery{Worker: worker, Class: ups, Count: 10, Pace: pace}))
}

// The queue is for all workers if it gets a second entry, if the claim ends, and after a pass.
func TestClaimEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *broker.Client, f flow){
		"second entry": func(t *testing.T, c *broker.Client, f flow) { f.fill(t, c, 1, 1) },
		"time":         func(t *testing.T, c *broker.Client, _ flow) { endClaim(t, c, "a") },
		"pass": func(t *testing.T, c *broker.Client, _ flow) {
			if err := c.MarkAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"clock of another server": func(t *testing.T, c *broker.Client, _ flow) {
			for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("ready:*")).Result()) {
				c.Raw().ZAddXX(t.Context(), key, redis.Z{Score: 1e15, Member: "a"})
			}
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				f := makeFlow(t, c, 0)
				await(t, c, ups, "w2", "w3")
				f.fill(t, c, 0, 1) // w3 is rung
				end(t, c, f)
				if got := ask(t, c, "w2"); len(got.Queues) != 1 {
					t.Errorf("after the claim, a worker gets %+v", got)
				}
			})
		})
	}
}

// Entries that come together are for all workers.
func TestSeveralEntriesAreForAllWorkers(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{
			{Batch: framed("s1", 0, "x")}, {Batch: framed("s1", 1, "x")},
		}))
		if !forMany(t, c, "a") {
			t.Error("one worker alone may take the entries")
		}
		f.takes(t, c, "w3", 1)
		if !forMany(t, c, "a") {
			t.Error("one worker alone may take the entries that are left")
		}
	})
}

// A worker that cannot take the entry passes the claim on: to a worker that waits, or to the next that asks.
func TestClaimIsPassedOn(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		f.fill(t, c, 0, 1) // w3 is rung
		rung(t, c, "a", "w3")
		for _, want := range []int{1, 0} {
			endClaim(t, c, "a")
			if err := c.Ring(t.Context(), []string{"a"}); err != nil {
				t.Fatal(err)
			}
			if got := rung(t, c, "a", "w2", "w3"); len(got) != want {
				t.Errorf("rung: %v, want %d", got, want)
			}
			if got := len(ask(t, c, "w3").Queues); got != 1-want {
				t.Errorf("a worker that asks gets %d queues, want %d", got, 1-want)
			}
		}
	})
}

// A worker that stops waiting is told whether a ring is on its way to it.
func TestRingOnItsWayIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		f.fill(t, c, 0, 1) // w3 is rung
		for worker, want := range map[string]bool{"w2": true, "w3": false} {
			if got := ask(t, c, worker); got.Waited != want {
				t.Errorf("%s waited until now: %v", worker, got.Waited)
			}
		}
	})
}
