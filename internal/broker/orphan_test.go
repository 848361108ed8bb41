package broker_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

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
				_, err = l.c.Scatter(t.Context(), s, "x1", 0, []broker.Parcel{{Batch: framed(name, 0, "one", "two")}})
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
		_, err := l.c.Scatter(t.Context(), made[name], "x1", 0, []broker.Parcel{{Batch: framed(name, 2, "late")}})
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
