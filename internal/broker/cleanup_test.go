package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// declareDead makes a watcher declare a process dead and start the clean-ups that are due at once.
func declareDead(t *testing.T, c *broker.Client, watcher *broker.Lease, r broker.Role, id string) {
	t.Helper()
	score := must[float64](t)(c.Raw().ZScore(t.Context(), c.Key(string(r)+"s"), id).Result())
	if err := watcher.Fence(t.Context(), r, id, strconv.FormatFloat(score, 'f', -1, 64)); err != nil {
		t.Fatal(err)
	}
	must[broker.HeartbeatReply](t)(watcher.Beat(t.Context()))
	watcher.Rest()
}

// watching returns the lease of a process that is the watcher.
func watching(t *testing.T, c *broker.Client, id string) *broker.Lease {
	t.Helper()
	if err := c.Join(t.Context(), broker.RoleExecutor, id, nil); err != nil {
		t.Fatal(err)
	}
	l := c.Lease(broker.RoleExecutor, id, time.Minute)
	must[broker.HeartbeatReply](t)(l.Beat(t.Context()))
	return l
}

// An executor was declared dead, has joined again under its id, and dies again: its sources are
// abandoned and its gathers taken over the second time too.
func TestExecutorCanDieTwice(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		watcher := watching(t, c, "x2")
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "q"})))
		for i := range 3 {
			if err := c.Join(t.Context(), broker.RoleExecutor, "x1", map[string]string{"host": "h1", "pid": "7"}); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprint("s", i)
			if _, _, err := c.Source(t.Context(), name, q, 0, broker.Of("x1")); err != nil {
				t.Fatal(err)
			}
			must[broker.Gather](t)(c.Consume(t.Context(), fmt.Sprint("g", i), "x1", "q"))
			declareDead(t, c, watcher, broker.RoleExecutor, "x1")
			want := "its process died: executor x1, process 7 on h1"
			if cut := c.Raw().HGet(t.Context(), c.Key("s:"+name), "cut").Val(); cut != want {
				t.Errorf("death %d: the source was given up since %q", i+1, cut)
			}
			heir := must[broker.Gather](t)(c.Consume(t.Context(), "heir", "x2", "q"))
			if err := c.Release(t.Context(), heir); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// The queues of an executor that joins again within the grace period stay. When it dies again, a
// new grace period begins.
func TestGraceStartsAtLastDeath(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := l.beating(t, broker.RoleWorker, "w2")
		makeFlow(t, l.c, 0) // x1 has joined and sends no heartbeats
		queues := func() int { return len(must[[]string](t)(l.c.Queues(t.Context()))) }
		after(t, 8*time.Minute)
		if err := l.c.Join(t.Context(), broker.RoleExecutor, "x1", nil); err != nil {
			t.Fatal(err)
		}
		after(t, 8*time.Minute)
		if n := queues(); n != 2 {
			t.Fatalf("%d queues are left within the second grace", n)
		}
		after(t, 3*time.Minute)
		if n := queues(); n != 0 {
			t.Errorf("%d queues are left after the second grace", n)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A dead executor cannot join again during an outage, so an outage does not count in its grace
// period.
func TestOutageExtendsGrace(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := l.beating(t, broker.RoleWorker, "w2")
		makeFlow(t, l.c, 0)
		after(t, 2*time.Minute)
		l.gate.shut()
		after(t, 20*time.Minute)
		close(l.gate.open)
		after(t, 2*time.Minute)
		queues := must[[]string](t)(l.c.Queues(t.Context()))
		if !slices.Equal(queues, []string{"a", "b"}) {
			t.Errorf("queues after an outage of two graces: %q", queues)
		}
		after(t, 7*time.Minute)
		if queues := must[[]string](t)(l.c.Queues(t.Context())); len(queues) != 0 {
			t.Errorf("queues after the grace: %q", queues)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A heartbeat of the watcher takes a few round trips, however much the clean-ups have to do.
func TestHeartbeatDoesNotWaitForCleanUps(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		const dead, queues, line = 50, 50, 100 * time.Millisecond
		for i := range queues {
			q := must[broker.Queue](t)(declared(l.c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i)})))
			if err := l.c.Stage(t.Context(), broker.Stage{ID: q.Name, Kind: broker.KindFuture, Function: "f", Ins: []broker.Queue{q}}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range dead {
			for _, r := range []broker.Role{broker.RoleWorker, broker.RoleExecutor} {
				if err := l.c.Join(t.Context(), r, fmt.Sprint(string(r[0]), i), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := l.c.Join(t.Context(), broker.RoleWorker, "watcher", nil); err != nil {
			t.Fatal(err)
		}
		l.gate.slow(line)
		beats := l.c.Lease(broker.RoleWorker, "watcher", lease)
		longest := time.Duration(0)
		for range 10 * broker.Beats {
			began := time.Now()
			must[broker.HeartbeatReply](t)(beats.Beat(t.Context()))
			took := time.Since(began)
			longest = max(longest, took)
			after(t, lease/broker.Beats-took)
		}
		beats.Close()
		if fenced := l.c.Raw().HLen(t.Context(), l.c.Key("fenced")).Val(); fenced != dead { // the entries of workers are gone after six leases
			t.Errorf("%d dead processes wait for the end of their grace", fenced)
		}
		if longest > 5*line {
			t.Errorf("a heartbeat took %v where a round trip takes %v", longest, line)
		}
	})
}

// A watcher keeps state for current processes only.
func TestWatcherForgetsLeftProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		watcher := watching(t, c, "x1")
		for i := range 20 {
			id := fmt.Sprint("w", i)
			if err := c.Join(t.Context(), broker.RoleWorker, id, nil); err != nil {
				t.Fatal(err)
			}
			must[broker.HeartbeatReply](t)(watcher.Beat(t.Context()))
			if n := watcher.Seen(); n != 2 {
				t.Fatalf("%d processes are remembered, and two are there", n)
			}
			if err := c.Leave(t.Context(), broker.RoleWorker, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Leave(t.Context(), broker.RoleExecutor, "x1"); err != nil {
			t.Fatal(err)
		}
		if left := c.Raw().Exists(t.Context(), c.Key("watcher"), c.Key("fenced"), c.Key("executors")).Val(); left != 0 {
			t.Errorf("%d keys of processes are left", left)
		}
	})
}

// The watcher removes the name of a worker that could not do so itself.
func TestNameOfLeftWorkerIsRemoved(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := l.beating(t, broker.RoleWorker, "w2")
		q := must[broker.Queue](t)(declared(l.c.Declare(t.Context(), broker.Queue{Name: "q"})))
		if err := l.c.Stage(t.Context(), broker.Stage{ID: "q", Kind: broker.KindFuture, Function: "f", Ins: []broker.Queue{q}}); err != nil {
			t.Fatal(err)
		}
		if err := l.c.Join(t.Context(), broker.RoleWorker, "w1", nil); err != nil {
			t.Fatal(err)
		}
		if err := l.c.Raw().XGroupCreateConsumer(t.Context(), l.c.Key("q:q"), "w", "w1").Err(); err != nil {
			t.Fatal(err)
		}
		if err := l.c.LeaveName(t.Context(), "w1"); err != nil {
			t.Fatal(err)
		}
		after(t, 7*lease)
		if left := must[[]redis.XInfoConsumer](t)(l.c.Raw().XInfoConsumers(t.Context(), l.c.Key("q:q"), "w").Result()); len(left) != 0 {
			t.Errorf("consumers after six leases: %v", left)
		}
		if fenced := l.c.Raw().HLen(t.Context(), l.c.Key("fenced")).Val(); fenced != 0 {
			t.Errorf("%d processes wait for a clean-up", fenced)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSourcesOfDeadExecutorAreAbandoned(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := l.beating(t, broker.RoleExecutor, "x2")
		if err := l.c.Join(t.Context(), broker.RoleExecutor, "x1", map[string]string{"host": "h1", "pid": "7"}); err != nil {
			t.Fatal(err)
		}
		q, _, err := l.c.Declare(t.Context(), broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		made := map[string]broker.Source{}
		for name, opts := range map[string][]broker.SourceOption{
			"going": {broker.Of("x1")}, "staying": {broker.Of("x1"), broker.Durable()}, "other": {broker.Of("x2")}, "ended": {broker.Of("x1")},
		} {
			s, _, err := l.c.Source(t.Context(), name, q, 0, opts...)
			if err == nil {
				_, err = l.c.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: framed(name, 0, "one", "two")}})
			}
			if err != nil {
				t.Fatal(err)
			}
			made[name] = s
		}
		if err := l.c.Finish(t.Context(), made["ended"], 2); err != nil {
			t.Fatal(err)
		}
		after(t, 3*lease)
		g := must[broker.Gather](t)(l.c.Consume(t.Context(), "g1", "x2", "q"))
		sources, _ := watched(t, l.c, g, "q")
		going, staying := sources["going"], sources["staying"]
		if why := "its process died: executor x1, process 7 on h1"; going.End != 2 || going.Cut != why || staying.End != -1 || staying.Away != why {
			t.Errorf("going is %+v, staying is %+v", going, staying)
		}
		if sources["other"] != (broker.Progress{Name: "other", Stored: 2, End: -1}) || sources["ended"] != (broker.Progress{Name: "ended", Stored: 2, End: 2}) {
			t.Errorf("the others are %+v", sources)
		}
		theDeadIsFenced(t, l, q, made)
		successor(t, l, q, g, made["staying"].Epoch)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// theDeadIsFenced tries the calls that the process of the sources could make.
func theDeadIsFenced(t *testing.T, l lab, q broker.Queue, made map[string]broker.Source) {
	t.Helper()
	for _, name := range []string{"going", "staying"} {
		_, err := l.c.Scatter(t.Context(), made[name], "x1", broker.Window{}, []broker.Parcel{{Batch: framed(name, 2, "late")}})
		if !errors.Is(err, broker.ErrFenced) {
			t.Errorf("%s goes on: %v", name, err)
		}
	}
	if _, _, err := l.c.Source(t.Context(), "late", q, 0, broker.Of("x1")); !errors.Is(err, broker.ErrFenced) {
		t.Errorf("the dead makes a source: %v", err)
	}
	if _, _, err := l.c.Source(t.Context(), "going", q, 0, broker.Of("x2")); !errors.Is(err, broker.ErrEnded) {
		t.Errorf("an ended source goes on: %v", err)
	}
}

// successor continues the durable source and abandons it.
func successor(t *testing.T, l lab, q broker.Queue, g broker.Gather, epoch int64) {
	t.Helper()
	s, stored, err := l.c.Source(t.Context(), "staying", q, 0, broker.Of("x2"), broker.Durable())
	if err != nil || stored != 2 || s.Epoch <= epoch {
		t.Fatalf("the successor %+v begins at %d, %v", s, stored, err)
	}
	after(t, 3*lease) // the watcher looks at the dead executor again and again
	sources, _ := watched(t, l.c, g, "q")
	if sources["staying"].Away != "" || !sources["staying"].Named {
		t.Errorf("staying is %+v", sources["staying"])
	}
	if err := l.c.Abandon(t.Context(), s, "bored"); err != nil {
		t.Fatal(err)
	}
	if sources, _ = watched(t, l.c, g, "q"); sources["staying"].Away != "bored" || sources["staying"].End != -1 {
		t.Errorf("staying is %+v", sources["staying"])
	}
}

// The first watcher died between the declaration of a death and its clean-ups. The next watcher
// does the clean-ups, without knowing how far the first one got.
func TestNextWatcherAbandonsSources(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		if err := l.c.Join(t.Context(), broker.RoleExecutor, "x1", nil); err != nil {
			t.Fatal(err)
		}
		must[broker.HeartbeatReply](t)(l.c.Lease(broker.RoleExecutor, "x1", lease).Beat(t.Context()))
		if id := l.c.Raw().HGet(t.Context(), l.c.Key("watcher"), "id").Val(); id != "x1" {
			t.Fatalf("the watcher is %q", id)
		}
		stop := l.beating(t, broker.RoleExecutor, "x2")
		q, _, err := l.c.Declare(t.Context(), broker.Queue{Name: "q"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.c.Source(t.Context(), "s", q, 0, broker.Of("x1")); err != nil {
			t.Fatal(err)
		}
		raw := l.c.Raw()
		raw.ZRem(t.Context(), l.c.Key("executors"), "x1")
		raw.HSet(t.Context(), l.c.Key("fenced"), "e:x1", time.Now().UnixMilli())
		after(t, lease)
		if cut := raw.HGet(t.Context(), l.c.Key("s:s"), "cut").Val(); !strings.HasSuffix(cut, "executor x1") {
			t.Errorf("it was cut since %q", cut)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// While all processes send heartbeats, the watcher does not change.
func TestOneProcessIsTheWatcher(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		var stop []func() error
		for _, id := range []string{"w1", "w2", "w3", "w4"} {
			stop = append(stop, l.beating(t, broker.RoleWorker, id))
			after(t, lease/30)
		}
		for range 50 {
			if id := l.c.Raw().HGet(t.Context(), l.c.Key("watcher"), "id").Val(); id != "w1" {
				t.Fatalf("%s looks too", id)
			}
			after(t, lease/30)
		}
		for _, stop := range stop {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}
