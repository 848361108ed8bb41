package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A town is a namespace with a history: ended sources, queues, and waiting entries.
type town struct {
	c    *broker.Client
	raw  *redis.Client
	q, b broker.Queue // the stage "b" reads q and adds to b
	g    broker.Gather
	last string // last change of q that the gather knows
	n    int    // number of sources so far
}

// settle makes a town of many ended and delivered sources, and of as many ended and undelivered
// sources, queues and entries.
func settle(t *testing.T, many int) *town {
	t.Helper()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &town{c: c, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true}), last: "0"}
	t.Cleanup(func() { _ = errors.Join(d.raw.Close(), c.Close()) })
	ctx := t.Context()
	d.must(t, c.Join(ctx, broker.RoleWorker, "w", nil), c.Join(ctx, broker.RoleExecutor, "x", nil))
	d.q, d.b = d.declare(t, "q", nil), d.declare(t, "b", []string{"q"})
	d.must(t, c.Stage(ctx, broker.Stage{ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{d.q}, Outs: []broker.Out{{Queue: d.b}}}))
	if d.g, err = c.Consume(ctx, "g", "x", "b"); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		d.declare(t, fmt.Sprint("other", i), nil)
		name := d.source(t)
		d.pass(t, name)
		d.source(t) // it is not delivered
	}
	for more := true; more; {
		w, err := c.Watch(ctx, d.g, broker.Path{Queue: "q"}, d.last)
		d.must(t, err)
		d.last, more = w.Last, w.More
	}
	return d
}

func (d *town) must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (d *town) declare(t *testing.T, name string, from []string) broker.Queue {
	t.Helper()
	q, _, err := d.c.Declare(t.Context(), broker.Queue{Name: name, From: from})
	d.must(t, err)
	return q
}

// source scatters one item.
func (d *town) source(t *testing.T) (name string) {
	t.Helper()
	d.n++
	name = fmt.Sprintf("s%08d", d.n)
	s, _, err := d.c.Source(t.Context(), name, d.q, 0, broker.Of("x"))
	d.must(t, err)
	_, err = d.c.Scatter(t.Context(), s, "x", broker.Window{Items: 1000, OnceGathered: true}, []broker.Parcel{{Batch: batch.Batch{Source: name, N: 1, Frame: []byte{1, 2, '7'}}}})
	d.must(t, err, d.c.Finish(t.Context(), s, 1))
	return name
}

// pass delivers the only item of a source to the gather, without a worker.
func (d *town) pass(t *testing.T, name string) {
	t.Helper()
	mark := broker.Mark{Source: name, Delivered: "1", Low: 1, Retire: true}
	_, err := d.c.Ack(t.Context(), d.g, nil, []broker.Mark{mark}, 0, func(string) string { return "q" })
	d.must(t, err)
}

// A bill is the work of Redis: commands, including those in scripts, and bytes of requests and
// replies. look is the number of bytes, not counted yet, that reading the counters took.
type bill struct{ commands, bytes, look int64 }

func (d *town) bill(t *testing.T, do func()) (b bill) {
	t.Helper()
	before := d.total(t)
	do()
	after := d.total(t)
	return bill{commands: after.commands - before.commands, bytes: after.bytes - before.bytes - before.look}
}

func (d *town) total(t *testing.T) (b bill) {
	t.Helper()
	info, err := d.raw.Info(context.WithoutCancel(t.Context()), "commandstats", "stats").Result()
	d.must(t, err)
	b.look = int64(len(info))
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		switch {
		case err != nil || name == "cmdstat_info":
		case strings.HasPrefix(name, "cmdstat_"):
			b.commands += n
		case name == "total_net_input_bytes" || name == "total_net_output_bytes":
			b.bytes += n
		}
	}
	return b
}

// prices returns the cost of the calls of the protocol in the town.
func (d *town) prices(t *testing.T) map[string]bill {
	t.Helper()
	ctx, c := t.Context(), d.c
	lease := c.Lease(broker.RoleExecutor, "x", time.Minute)
	g2 := d.declare(t, "extra", nil)
	bills := map[string]bill{}
	var name string
	for what, do := range map[string]func(){
		"scatter, watch and deliver a source": func() {
			name = d.source(t)
			w, err := c.Watch(ctx, d.g, broker.Path{Queue: "q"}, d.last, name)
			d.must(t, err)
			if d.last = w.Last; len(w.Sources) == 0 || len(w.Sources) > 2 {
				t.Errorf("one source has changed, and the gather is told of %d", len(w.Sources))
			}
			d.pass(t, name)
		},
		"an idle look at the sources": func() {
			_, err := c.Watch(ctx, d.g, broker.Path{Queue: "q"}, d.last)
			d.must(t, err)
		},
		"declare a queue that is there": func() { d.declare(t, "q", nil) },
		"look at a queue": func() {
			_, err := c.Look(ctx, "q")
			_, err2 := c.Waiting(ctx, "q")
			d.must(t, err, err2)
		},
		"take and complete an entry": func() {
			taken, err := c.Take(ctx, "w", 1, 1, []broker.Route{{In: "q", Outs: []string{"b"}}})
			d.must(t, err)
			e := taken[0].Entries[0]
			_, err = c.Complete(ctx, []broker.Completion{{Entry: e, In: d.q, Outs: []broker.Output{{Queue: d.b, Batch: e.Batch}}}})
			d.must(t, err)
		},
		"begin and end a gather": func() {
			g, err := c.Consume(ctx, "again", "x", g2.Name)
			d.must(t, err)
			_, err = c.Inherit(ctx, g)
			d.must(t, err, c.Release(ctx, g))
		},
		"make and delete a flow": func() {
			in := d.declare(t, "in", nil)
			out := d.declare(t, "out", []string{"in"})
			d.must(t, c.Stage(ctx, broker.Stage{ID: "out", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}}}))
			d.must(t, c.DeleteAll(ctx, []string{"in", "out"}))
		},
		"a heartbeat": func() {
			_, err := lease.Beat(ctx)
			d.must(t, err)
		},
		"the way to a gathered queue": func() {
			_, err := c.Upstream(ctx, d.g)
			d.must(t, err)
		},
	} {
		do() // loads the scripts
		bills[what] = d.bill(t, do)
	}
	return bills
}

// No call of the protocol costs more with ten thousand ended and delivered sources, undelivered
// sources, queues and entries than with ten.
func TestCallCostIsIndependentOfHistory(t *testing.T) {
	few, many := settle(t, 10).prices(t), settle(t, 10_000).prices(t)
	for what, a := range few {
		b := many[what]
		if b.commands > a.commands || b.bytes > a.bytes+a.bytes/4+64 {
			t.Errorf("%s: %d commands and %d bytes beside 10 of each, %d and %d beside 10,000", what, a.commands, a.bytes, b.commands, b.bytes)
		}
	}
}

// A source that drops every second item has thousands of separate ranges. The next drop costs the
// same.
func TestDropCostIsIndependentOfRanges(t *testing.T) {
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &town{c: c, raw: redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})}
	t.Cleanup(func() { _ = errors.Join(d.raw.Close(), c.Close()) })
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 1}})
	d.must(t, err)
	s, _, err := c.Source(t.Context(), "s", q, 0)
	d.must(t, err)
	s.Overflow = broker.OverflowDropNewest
	at := int64(0)
	pair := func() { // one item is stored, one is dropped, and the first one is read
		var parcels []broker.Parcel
		for range 2 {
			parcels = append(parcels, broker.Parcel{Batch: batch.Batch{Source: "s", First: at, N: 1, Frame: []byte{1, 2, '7'}}})
			at++
		}
		got, err := c.Scatter(t.Context(), s, "x", broker.Window{}, parcels)
		d.must(t, err)
		if got.Stored != at {
			t.Fatalf("%+v", got)
		}
		read := d.raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "w", Consumer: "w", Streams: []string{"{dq:0}:q:q", ">"}})
		d.must(t, read.Err())
	}
	for range 10 {
		pair()
	}
	few := d.bill(t, pair)
	for range 3000 {
		pair()
	}
	many := d.bill(t, pair)
	if many.commands > few.commands || many.bytes > few.bytes+few.bytes/4 {
		t.Errorf("%+v behind 10 drops, %+v behind 3,000", few, many)
	}
	if size := d.raw.HGet(t.Context(), "{dq:0}:s:s", "gaps").Val(); size != "" || d.raw.ZCard(t.Context(), "{dq:0}:gaps:s").Val() < 3000 {
		t.Errorf("the source keeps its ranges in a field: %q", size)
	}
}
