package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A claimState is the meaning of the score of a ready queue.
type claimState string

const (
	forAll  claimState = "for all workers"
	forOne  claimState = "for the first worker that asks"
	claimed claimState = "claimed"
)

// scores returns the sets of ready queues that have a queue, and its score.
func scores(t *testing.T, c *broker.Client, queue string) (keys []string, score float64) {
	t.Helper()
	for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("ready:*")).Result()) {
		if at, err := c.Raw().ZScore(t.Context(), key, queue).Result(); err == nil {
			keys, score = append(keys, key), at
		}
	}
	if keys == nil {
		t.Fatalf("queue %s is not ready", queue)
	}
	return keys, score
}

func claim(t *testing.T, c *broker.Client, queue string) claimState {
	t.Helper()
	switch _, score := scores(t, c, queue); {
	case score != float64(int64(score)):
		return forAll
	case score < 1e12:
		return forOne
	}
	return claimed
}

// rescore gives a ready queue another score.
func rescore(t *testing.T, c *broker.Client, queue string, score float64) {
	t.Helper()
	keys, _ := scores(t, c, queue)
	for _, key := range keys {
		if err := c.Raw().ZAddXX(t.Context(), key, redis.Z{Score: score, Member: queue}).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// askBeside makes a worker ask, and wait if no queue is ready, while the claim of a queue lasts.
func askBeside(t *testing.T, c *broker.Client, queue, worker string) broker.ReadyReply {
	t.Helper()
	for {
		if got := claim(t, c, queue); got != claimed {
			t.Fatalf("the queue is %s", got)
		}
		ends := must[time.Time](t)(c.Raw().Time(t.Context()).Result()).UnixMilli() + 50
		rescore(t, c, queue, float64(ends))
		got := look(t, c, ups, worker)
		if must[time.Time](t)(c.Raw().Time(t.Context()).Result()).UnixMilli() < ends {
			return got
		}
		rescore(t, c, queue, float64(ends))
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
		if got := askBeside(t, c, "a", "w3"); len(got.Queues) > 0 || !got.Idle {
			t.Errorf("a worker that was not rung gets %+v", got)
		}
		f.takes(t, c, "w4", 1)
		for _, worker := range []string{"w2", "w3"} { // no worker waits when the next entry comes
			ask(t, c, worker)
		}
		f.fill(t, c, 1, 1)
		if got := claim(t, c, "a"); got != forOne {
			t.Errorf("without a worker that waits, the queue is %s", got)
		}
		if got := ask(t, c, "w2"); len(got.Queues) != 1 {
			t.Errorf("the first worker that asks gets %+v", got)
		}
		if got := askBeside(t, c, "a", "w3"); len(got.Queues) > 0 {
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
		"time":         func(t *testing.T, c *broker.Client, _ flow) { rescore(t, c, "a", 1e12) },
		"pass": func(t *testing.T, c *broker.Client, _ flow) {
			if err := c.MarkAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"clock of another server": func(t *testing.T, c *broker.Client, _ flow) { rescore(t, c, "a", 1e15) },
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
		if got := claim(t, c, "a"); got != forAll {
			t.Errorf("the entries are %s", got)
		}
		f.takes(t, c, "w3", 1)
		if got := claim(t, c, "a"); got != forAll {
			t.Errorf("the entry that is left is %s", got)
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
		for _, want := range []claimState{claimed, forOne} {
			if err := c.Ring(t.Context(), []string{"a"}); err != nil {
				t.Fatal(err)
			}
			if got := rung(t, c, "a", "w2", "w3"); (len(got) == 1) != (want == claimed) {
				t.Errorf("rung: %v", got)
			}
			if got := claim(t, c, "a"); got != want {
				t.Errorf("the queue is %s, want %s", got, want)
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
