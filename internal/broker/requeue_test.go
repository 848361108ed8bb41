package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// manyStages makes stages over one queue each, with one item in it.
func manyStages(t *testing.T, c *broker.Client, n int) (queues []string) {
	t.Helper()
	for i := range n {
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i)})))
		s, _, err := c.Source(t.Context(), fmt.Sprint("s", i), q, 1)
		if err == nil {
			err = c.Stage(t.Context(), broker.Stage{ID: q.Name, Kind: broker.KindFuture, Function: "f", Ins: []broker.Queue{q}})
		}
		if err == nil {
			_, err = c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(s.Name, 0, "item")}})
		}
		if err != nil {
			t.Fatal(err)
		}
		queues = append(queues, q.Name)
	}
	return queues
}

// hold makes a worker take the entries of a queue.
func hold(t *testing.T, c *broker.Client, worker, queue string) []broker.Entry {
	t.Helper()
	return must[[]broker.Taken](t)(c.Take(t.Context(), worker, 10, 1, []broker.Route{{In: queue}}))[0].Entries
}

// commands returns the number of commands that a server has run, including those in scripts.
func commands(t *testing.T, rdb redis.UniversalClient) (n int) {
	t.Helper()
	for line := range strings.Lines(rdb.Info(t.Context(), "commandstats").Val()) {
		if _, calls, ok := strings.Cut(line, ":calls="); ok {
			calls, _, _ = strings.Cut(calls, ",")
			n += must[int](t)(strconv.Atoi(calls))
		}
	}
	return n
}

// Many workers with many stages die. One pass over the stages requeues the entries of all of them:
// at once, after a lease and after six leases, and not in each check.
func TestDeadWorkersAreRequeuedInOnePass(t *testing.T) {
	t.Parallel()
	const dead, stages = 10, 300
	c, err := broker.Open(testkit.StartRedis(t).URL(), broker.Options{})
	c = opened(t, c, err)
	watcher := watching(t, c, "x1")
	queues := manyStages(t, c, stages)
	for i := range dead {
		worker := fmt.Sprint("w", i)
		if err := c.Join(t.Context(), broker.RoleWorker, worker, nil); err != nil {
			t.Fatal(err)
		}
		hold(t, c, worker, queues[i*stages/dead])
	}
	for i := range dead {
		worker := fmt.Sprint("w", i)
		score := must[float64](t)(c.Raw().ZScore(t.Context(), c.Key("workers"), worker).Result())
		if err := watcher.Fence(t.Context(), broker.RoleWorker, worker, strconv.FormatFloat(score, 'f', -1, 64)); err != nil {
			t.Fatal(err)
		}
	}
	beat := func() int {
		t.Helper()
		before := commands(t, c.Raw())
		must[broker.HeartbeatReply](t)(watcher.Beat(t.Context()))
		watcher.Rest()
		return commands(t, c.Raw()) - before
	}
	later := func(d time.Duration) int {
		c.Raw().HIncrBy(t.Context(), c.Key("watcher"), "watched", d.Milliseconds())
		return beat()
	}
	if n := beat(); n > 5*stages {
		t.Errorf("%d commands requeue what %d dead workers held of %d stages", n, dead, stages)
	}
	if n := beat(); n > 50 {
		t.Errorf("%d commands in a census after that", n)
	}
	for i := range dead {
		if back := hold(t, c, "w", queues[i*stages/dead]); len(back) != 1 || back[0].Crashes != 1 {
			t.Errorf("dead worker %d has left %+v", i, back)
		}
	}
	if n := later(time.Minute); n > 5*stages {
		t.Errorf("%d commands requeue once more after a lease", n)
	}
	if n := later(5 * time.Minute); n > 5*stages+3*dead*stages {
		t.Errorf("%d commands requeue for the last time", n)
	}
	if n := c.Raw().HLen(t.Context(), c.Key("fenced")).Val(); n != 0 {
		t.Errorf("%d dead are remembered", n)
	}
	must[int](t)(0, c.GiveBack(t.Context(), "w", queues...)) // Valkey also lists a worker that has found no entry
	for _, q := range queues {
		if names := c.Raw().XInfoConsumers(t.Context(), c.Key("q:"+q), "w").Val(); len(names) > 0 {
			t.Fatalf("consumers of %s: %v", q, names)
		}
	}
}

// A foreign key in the place of one stream does not stop the requeue for other queues.
func TestSickStreamDoesNotBlockRequeue(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		queues := manyStages(t, c, 5)
		for _, q := range queues {
			hold(t, c, "w1", q)
		}
		raw := c.Raw()
		for i, key := range []string{"q:q0", "r:q1", "x:q2", "m:q3"} {
			raw.Del(t.Context(), c.Key(key))
			if err := raw.Set(t.Context(), c.Key(key), i, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Requeue(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		for _, q := range []string{"q2", "q4"} {
			if n := raw.XLen(t.Context(), c.Key("r:"+q)).Val(); n != 1 {
				t.Errorf("%d entries of queue %s come back", n, q)
			}
		}
		raw.Del(t.Context(), c.Key("r:q1"))
		if err := raw.XGroupCreateMkStream(t.Context(), c.Key("r:q1"), "w", "0").Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Requeue(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		if back := hold(t, c, "w2", "q1"); len(back) != 1 {
			t.Errorf("once its return stream is one again, of queue q1 come back %+v", back)
		}
	})
}

// Requeue leaves the entries of live workers and of gathers alone.
func TestRequeueSkipsLiveProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 2)
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1")[:1])))
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
		r := c.Reader(g.ID, time.Second)
		defer r.Close()
		if read, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0); err != nil || len(read) != 1 {
			t.Fatal(read, err)
		}
		// A stage over the gathered queue, made by another kind of program.
		if err := c.Raw().HSet(t.Context(), c.Key("stages"), "odd", `{"v":1,"id":"odd","ins":[{"q":"b"}]}`).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Requeue(t.Context(), "w1", "g1"); err != nil {
			t.Fatal(err)
		}
		if held := must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "a")); len(held) != 1 {
			t.Errorf("the worker holds %+v", held)
		}
		if held := must[[]broker.Entry](t)(c.HeldBy(t.Context(), g)); len(held) != 1 {
			t.Errorf("the gather holds %+v", held)
		}
	})
}

// Workers and gathers of a permanent queue come and go, and some of them die. Their consumer names
// are removed.
func TestConsumerNamesDoNotPileUp(t *testing.T) {
	const rounds = 20
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f, sent := makeFlow(t, c, 0), int64(0)
		for i := range rounds {
			f.send(t, c, &sent)
			worker := fmt.Sprint("worker", i)
			held := f.takeAll(t, c, worker)
			must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(held[:1])))
			end := func() error { return c.GiveBack(t.Context(), worker, "a") }
			if i%2 == 1 { // every second worker has died
				end = func() error { return c.Requeue(t.Context(), worker) }
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			g := must[broker.Gather](t)(c.Consume(t.Context(), fmt.Sprint("gather", i), "dead", "b"))
			left := must[[]broker.Entry](t)(c.Inherit(t.Context(), g))
			if _, err := c.Watch(t.Context(), g, broker.Path{Queue: "a"}, "0"); err != nil {
				t.Fatal(err)
			}
			r := c.Reader(g.ID, time.Second)
			read, _, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0)
			if err == nil {
				err = r.Close()
			}
			if err == nil {
				_, err = c.Ack(t.Context(), g, left, nil, 0, func(string) string { return "a" })
			}
			if err == nil && i%3 > 0 { // every third gather dies with the entries that it has read
				_, err = c.Ack(t.Context(), g, read, nil, 0, func(string) string { return "a" })
				if err == nil {
					err = c.Release(t.Context(), g)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if told := c.Raw().SMembers(t.Context(), c.Key("watch:a")).Val(); len(told) > 1 {
			t.Errorf("%d gathers are told after %d rounds: %v", len(told), rounds, told)
		}
		for _, stream := range []string{"q:a", "r:a", "x:a", "q:b"} {
			if names := c.Raw().XInfoConsumers(t.Context(), c.Key(stream), "w").Val(); len(names) > 2 {
				t.Errorf("%s has %d consumers after %d rounds: %v", stream, len(names), rounds, names)
			}
		}
	})
}
