package differential

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// verbs runs the operations that a flow needs only after damage: an operator deletes consumers and
// entries of a worker, and a queue has no type yet.
func verbs(t *testing.T, both *testkit.Differential) {
	c := must(broker.Open(both.URL()+"/?ns=verbs", broker.Options{}))(t)
	defer c.Close()
	raw := redis.NewClient(&redis.Options{Addr: both.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer raw.Close()
	a, _, err := c.Declare(t.Context(), broker.Queue{Name: "a"})
	b, _, again := c.Declare(t.Context(), broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
	fine(t, err, again, c.Adopt(t.Context(), a, "json", "int"), c.Join(t.Context(), broker.RoleExecutor, "x", nil),
		c.Join(t.Context(), broker.RoleWorker, "w", nil), c.Join(t.Context(), broker.RoleWorker, "v", nil),
		c.Stage(t.Context(), broker.Stage{ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{a}, Outs: []broker.Out{{Queue: b}}}))
	source := scattered(t, c, "s", a, 6, 0)
	g := must(c.Consume(t.Context(), "g", "x", "b"))(t)
	routes := []broker.Route{{In: "a", Outs: []string{"b"}}}
	must(c.Take(t.Context(), "w", 3, 1, routes))(t)
	fine(t, raw.Do(t.Context(), "XGROUP", "DELCONSUMER", "{verbs:0}:q:a", "w", "w").Err())
	seen := must(c.Audit(t.Context(), g, []broker.Path{{Queue: "a"}}, []broker.Gap{{Source: "s"}}))(t)
	if s, found := seen.Found["s"]; !found || !s.Stray || must(c.RequeueStray(t.Context(), g, s))(t) != 3 {
		t.Errorf("the audit has seen %+v", seen)
	}
	both.Compare()

	taken := must(c.Take(t.Context(), "v", 9, 1, append(routes, broker.Route{In: "none"})))(t)
	if len(taken[0].Entries) != 6 || !taken[1].Sick {
		t.Errorf("it takes %+v", taken)
	}
	letter(t, c, a, taken[0].Entries[0])
	discard(t, c, source, 6)
	fine(t, c.Leave(t.Context(), broker.RoleWorker, "v"), c.Requeue(t.Context(), "v"), c.Finish(t.Context(), source, 8))
	must(c.Waiting(t.Context(), "a"))(t)
	must(c.Inherit(t.Context(), g))(t)
	both.Compare()
	if free := must(c.Standby(t.Context(), "x", "b", time.Minute))(t); free {
		t.Error("a queue that is gathered is free")
	}
	both.Compare()
	fine(t, c.StandDown(t.Context(), "x", "b"))
	must(c.Standby(t.Context(), "x", "b", time.Minute))(t)
	reader := c.Reader("w", time.Millisecond)
	defer reader.Close()
	for range 2 { // the second read brings nothing: it acknowledges what the first one has brought
		_, _, err = reader.Read(t.Context(), nil, 10, time.Millisecond)
		fine(t, err)
	}
	both.Compare()
	fine(t, c.Release(t.Context(), g), c.DeleteAll(t.Context(), []string{"a", "b"}),
		c.Leave(t.Context(), broker.RoleWorker, "w"), c.Leave(t.Context(), broker.RoleExecutor, "x"))
}

// discard abandons an item that does not fit and whose payload is written.
func discard(t *testing.T, c *broker.Client, source broker.Source, at int64) {
	t.Helper()
	var b batch.Builder
	b.Value(make([]byte, 3000))
	parcels := []broker.Parcel{{Batch: batch.Batch{Source: source.Name, First: at, N: 1, Frame: b.Take()}}}
	if got := must(c.Scatter(t.Context(), source, "x", broker.Window{Items: 1}, parcels))(t); !got.Full || got.Stored != at {
		t.Fatalf("scattered %+v", got)
	}
	fine(t, c.Discard(t.Context(), parcels...))
}

// letter makes a dead letter of an entry, and retries it.
func letter(t *testing.T, c *broker.Client, in broker.Queue, e broker.Entry) {
	t.Helper()
	done := broker.Completion{Entry: e, In: in, Dead: &batch.Failure{Code: batch.CodeCrashed, Message: "why"}}
	must(c.Complete(t.Context(), []broker.Completion{done}))(t)
	dead := must(c.Dead(t.Context(), "", 10))(t)
	if len(dead) != 1 {
		t.Fatalf("the dead letters are %+v", dead)
	}
	fine(t, c.Retry(t.Context(), must(c.Letter(t.Context(), dead[0].Entry.ID))(t), c, in))
}

// nacked gives an item back until it is a dead letter, and acknowledges another item that was given
// back.
func nacked(t *testing.T, both *testkit.Differential) {
	c := must(broker.Open(both.URL()+"/?ns=nacked", broker.Options{}))(t)
	defer c.Close()
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q"})
	fine(t, err, c.Join(t.Context(), broker.RoleExecutor, "x", nil))
	scattered(t, c, "s", q, 4, 1)
	g := must(c.Consume(t.Context(), "g", "x", "q"))(t)
	one, two := broker.Nacked{Item: broker.Item{Source: "s"}, Deliveries: 1}, broker.Nacked{Item: broker.Item{Source: "s", Offset: 1}, Deliveries: 1}
	fine(t, c.Nack(t.Context(), g, []broker.Nacked{one, two}))
	both.Compare()
	one.Deliveries, one.Dead = 2, &batch.Failure{Code: batch.CodeRejected}
	one.Frame = []byte{batch.Version, 2, '0'}
	fine(t, c.Nack(t.Context(), g, []broker.Nacked{one}))
	_, err = c.Ack(t.Context(), g, nil, []broker.Mark{{Source: "s", Delivered: "2", Low: 2, Settled: []broker.Item{{Source: "s", Offset: 1}}}}, 0, func(string) string { return "q" })
	fine(t, err, c.Nack(t.Context(), g, []broker.Nacked{one}))
	both.Compare()
	heir := must(c.Consume(t.Context(), "g", "x", "q"))(t)
	if got := heir.Nacked(); len(got) != 1 || got[one.Item] != -2 {
		t.Errorf("the deliveries are %v", got)
	}
	reader := c.Reader("g", time.Second)
	defer reader.Close()
	_, _, err = reader.Read(t.Context(), []broker.StreamRef{{Queue: "q"}}, 10, 0)
	fine(t, err, c.Release(t.Context(), heir), c.Stage(t.Context(), broker.Stage{ID: "q", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{q}}))
	both.Compare()
	fine(t, c.Unstage(t.Context(), "q"))
	if again := must(c.Consume(t.Context(), "again", "x", "q"))(t); len(again.Nacked()) != 0 {
		t.Errorf("behind a stage the deliveries are %v", again.Nacked())
	}
	both.Compare()
	fine(t, c.Delete(t.Context(), "q"), c.Leave(t.Context(), broker.RoleExecutor, "x"))
	both.Compare()
}

// deleted deletes entries that a worker and a gather hold.
func deleted(t *testing.T, both *testkit.Differential) {
	c := must(broker.Open(both.URL()+"/?ns=deleted", broker.Options{}))(t)
	defer c.Close()
	raw := redis.NewClient(&redis.Options{Addr: both.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
	defer raw.Close()
	a, _, err := c.Declare(t.Context(), broker.Queue{Name: "a"})
	b, _, again := c.Declare(t.Context(), broker.Queue{Name: "b"})
	fine(t, err, again, c.Join(t.Context(), broker.RoleExecutor, "x", nil), c.Join(t.Context(), broker.RoleWorker, "w", nil),
		c.Stage(t.Context(), broker.Stage{ID: "a", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{a}}))
	scattered(t, c, "s", a, 4, 1)
	scattered(t, c, "t", b, 3, 1)
	g := must(c.Consume(t.Context(), "g", "dead", "b"))(t)
	reader := c.Reader("g", time.Second)
	defer reader.Close()
	read, _, err := reader.Read(t.Context(), []broker.StreamRef{{Queue: "b"}}, 10, 0)
	fine(t, err)
	taken := must(c.Take(t.Context(), "w", 10, 1, []broker.Route{{In: "a"}}))(t)[0].Entries
	fine(t, raw.XDel(t.Context(), "{deleted:0}:q:a", taken[0].ID, taken[1].ID).Err(), raw.XDel(t.Context(), "{deleted:0}:q:b", read[0].ID).Err())
	if held := must(c.Held(t.Context(), "w", "a"))(t); len(held) != 2 {
		t.Errorf("the worker holds %+v", held)
	}
	both.Compare()
	must(c.Waiting(t.Context(), "a"))(t)
	must(c.Complete(t.Context(), []broker.Completion{{Entry: taken[0], In: a}}))(t)
	both.Compare()
	heir := must(c.Consume(t.Context(), "h", "x", "b"))(t)
	if left := must(c.Inherit(t.Context(), heir))(t); len(left) != 2 {
		t.Errorf("the heir of %s has %+v", g.ID, left)
	}
	fine(t, c.GiveBack(t.Context(), "w", "a"))
	both.Compare()
	fine(t, c.Release(t.Context(), heir), c.DeleteAll(t.Context(), []string{"a", "b"}),
		c.Leave(t.Context(), broker.RoleWorker, "w"), c.Leave(t.Context(), broker.RoleExecutor, "x"))
}

// handover passes a queue from a gather to a stage and back, with pending entries.
func handover(t *testing.T, both *testkit.Differential) {
	c := must(broker.Open(both.URL()+"/?ns=handover", broker.Options{}))(t)
	defer c.Close()
	a, _, err := c.Declare(t.Context(), broker.Queue{Name: "a"})
	stage := broker.Stage{ID: "a", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{a}}
	fine(t, err, c.Join(t.Context(), broker.RoleExecutor, "x", nil), c.Join(t.Context(), broker.RoleWorker, "w", nil))
	scattered(t, c, "s", a, 4, 1)
	g := must(c.Consume(t.Context(), "g", "x", "a"))(t)
	reader := c.Reader("g", time.Second)
	defer reader.Close()
	_, _, err = reader.Read(t.Context(), []broker.StreamRef{{Queue: "a"}}, 2, 0)
	fine(t, err, c.Release(t.Context(), g), c.Stage(t.Context(), stage))
	both.Compare()
	if taken := must(c.Take(t.Context(), "w", 10, 1, []broker.Route{{In: "a"}}))(t)[0].Entries; len(taken) != 4 {
		t.Errorf("the worker of the stage takes %+v", taken)
	}
	b, _, err := c.Declare(t.Context(), broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
	fine(t, err)
	next, _, err := c.StageOf(t.Context(), "a")
	fine(t, err)
	for range 2 { // the second one has lost its reply
		if done, err := c.Insert(t.Context(), broker.Stage{ID: "b", Kind: broker.KindMap, Function: "g", Ins: []broker.Queue{a}, Outs: []broker.Out{{Queue: b}}}, next); err != nil || !done {
			t.Errorf("the stage is not inserted: %v", err)
		}
	}
	both.Compare()
	fine(t, c.GiveBack(t.Context(), "w", "a"), c.Unstage(t.Context(), "a"), c.Unstage(t.Context(), "b"), c.DeleteAll(t.Context(), []string{"b"}))
	heir := must(c.Consume(t.Context(), "h", "x", "a"))(t)
	both.Compare()
	heirs := c.Reader("h", time.Second)
	defer heirs.Close()
	if read, _, err := heirs.Read(t.Context(), []broker.StreamRef{{Queue: "a"}}, 10, 0); err != nil || len(read) != 4 {
		t.Errorf("the gather behind the stage reads %+v, %v", read, err)
	}
	fine(t, c.Release(t.Context(), heir), c.DeleteAll(t.Context(), []string{"a"}),
		c.Leave(t.Context(), broker.RoleWorker, "w"), c.Leave(t.Context(), broker.RoleExecutor, "x"))
}

// scattered stores n items, one in each batch.
func scattered(t *testing.T, c *broker.Client, name string, q broker.Queue, n int64, seal int) broker.Source {
	t.Helper()
	source, _, err := c.Source(t.Context(), name, q, seal)
	fine(t, err)
	var parcels []broker.Parcel
	for at := range n {
		var b batch.Builder
		b.Value(fmt.Append(nil, at))
		parcels = append(parcels, broker.Parcel{Batch: batch.Batch{Source: name, First: at, N: 1, Frame: b.Take()}})
	}
	must(c.Scatter(t.Context(), source, "x", broker.Window{}, parcels))(t)
	return source
}

func fine(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
