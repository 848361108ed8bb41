package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// The objects of an executor are recorded as long as it holds them.
func TestHoldsAreRemoved(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		for _, id := range []string{"x1", "x2"} {
			if err := c.Join(t.Context(), broker.RoleExecutor, id, nil); err != nil {
				t.Fatal(err)
			}
		}
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "q"})))
		other := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "other"})))
		source := func(name string, q broker.Queue, opts ...broker.SourceOption) broker.Source {
			t.Helper()
			s, _, err := c.Source(t.Context(), name, q, 0, opts...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		finished, abandoned := source("finished", q, broker.Of("x1")), source("abandoned", q, broker.Of("x1"), broker.Durable())
		source("taken", q, broker.Of("x1"), broker.Durable())
		source("deleted", other, broker.Of("x1"))
		source("stays", q, broker.Of("x1"))
		source("free", q)
		source("taken", q, broker.Of("x2"), broker.Durable())
		for range 2 {
			err := errors.Join(c.Finish(t.Context(), finished, 0), c.Abandon(t.Context(), abandoned, "bored"))
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Delete(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{"x1": "stays", "x2": "taken"} {
			if held := c.Raw().SMembers(t.Context(), c.Key("holds:"+id)).Val(); !slices.Equal(held, []string{want}) {
				t.Errorf("%s holds %q", id, held)
			}
		}
	})
}

// The clean-up after an executor costs O(objects that it held), for any number of queues and
// sources.
func TestCleanUpCostsOnlyHeldObjects(t *testing.T) {
	t.Parallel()
	c, err := broker.Open(testkit.StartRedis(t).URL(), broker.Options{})
	c = opened(t, c, err)
	watcher := watching(t, c, "x1")
	const others, held = 300, 250
	for i := range others {
		q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i)})))
		if _, _, err := c.Source(t.Context(), fmt.Sprint("s", i), q, 0, broker.Of("x1")); err != nil {
			t.Fatal(err)
		}
	}
	q := must[broker.Queue](t)(c.Look(t.Context(), "q0"))
	cost := func(held int) int {
		t.Helper()
		if err := c.Join(t.Context(), broker.RoleExecutor, "x2", nil); err != nil {
			t.Fatal(err)
		}
		for i := range held {
			if _, _, err := c.Source(t.Context(), fmt.Sprint("held", held, ".", i), q, 0, broker.Of("x2")); err != nil {
				t.Fatal(err)
			}
		}
		before := commands(t, c.Raw())
		declareDead(t, c, watcher, broker.RoleExecutor, "x2")
		spent := commands(t, c.Raw()) - before
		for i := range held {
			if c.Raw().HGet(t.Context(), c.Key(fmt.Sprint("s:held", held, ".", i)), "cut").Val() == "" {
				t.Fatalf("source %d of %d is not given up", i, held)
			}
		}
		return spent
	}
	if n := cost(1); n > 60 {
		t.Errorf("%d commands give up one source beside those of %d queues", n, others)
	}
	if n := cost(held); n > 60+15*held {
		t.Errorf("%d commands give up %d sources", n, held)
	}
}

// If an executor leaves objects behind, other processes clean them up.
func TestLeftoversOfExecutorAreCleanedUp(t *testing.T) {
	inLab(t, func(t *testing.T, l lab) {
		t.Helper()
		stop := l.beating(t, broker.RoleWorker, "w2")
		if err := l.c.Join(t.Context(), broker.RoleExecutor, "x1", map[string]string{"host": "h1", "pid": "7"}); err != nil {
			t.Fatal(err)
		}
		own := must[broker.Queue](t)(declared(l.c.Declare(t.Context(), broker.Queue{Name: "own", Owner: "x1"})))
		q := must[broker.Queue](t)(declared(l.c.Declare(t.Context(), broker.Queue{Name: "q"})))
		for _, q := range []broker.Queue{own, q} {
			if _, _, err := l.c.Source(t.Context(), "s-"+q.Name, q, 0, broker.Of("x1")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.c.Leave(t.Context(), broker.RoleExecutor, "x1"); err != nil {
			t.Fatal(err)
		}
		after(t, lease)
		if cut := l.c.Raw().HGet(t.Context(), l.c.Key("s:s-q"), "cut").Val(); cut != "its process died: executor x1, process 7 on h1" {
			t.Errorf("its source was given up since %q", cut)
		}
		after(t, 11*time.Minute)
		if queues := must[[]string](t)(l.c.Queues(t.Context())); !slices.Equal(queues, []string{"q"}) {
			t.Errorf("there are queues %q", queues)
		}
		if left := l.c.Raw().Exists(t.Context(), l.c.Key("fenced"), l.c.Key("holds:x1"), l.c.Key("own:x1")).Val(); left != 0 {
			t.Errorf("%d keys are left", left)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
