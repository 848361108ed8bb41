//go:build !race

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// The scripts run in random orders against a model, on the embedded broker and on a redis-server at
// once. Both return the same replies and end with the same data.
func TestRandomOrders(t *testing.T) {
	server := embedded.New()
	t.Cleanup(server.Close)
	twins := testkit.NewDifferential(t, server.Dial, server.StandAt)
	c, err := broker.Open(twins.URL(), broker.Options{})
	c = opened(t, c, err)
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(t.Context(), rt, c)
		defer m.close()
		rt.Repeat(m.actions())
		twins.Compare()
		m.drain(rt)
		m.clean(rt)
	})
	t.Logf("compared: %v", twins.Ran())
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"":           m.invariants,
		"scatter":    m.scatter,
		"resend":     m.resend,
		"take":       m.take,
		"complete":   m.complete,
		"advance":    m.advance,
		"zombie":     m.zombie,
		"die":        m.die,
		"bring back": m.bringBack,
		"takeover":   m.takeOver,
		"read":       m.read,
		"ack":        m.ack,
		"succession": m.succession,
	}
}

var machines atomic.Int64

// A machine is a flow a -> b with its model. Each machine uses its own names.
type machine struct {
	ctx     context.Context
	c       *broker.Client
	n       int64
	a, b    broker.Queue
	feeders []*feeder

	unreadA, unreadR, unreadB []part
	unreadX, delayed          []part
	ahead                     bool   // a source of a is, or was, beyond its window
	heldA, heldB              []held // by workers of a and its returned stream, by gathers of b
	entries                   map[broker.Ref]broker.Entry
	history                   []broker.Completion
	stamps                    map[broker.Item]string // of the items that were read

	g       broker.Gather
	gathers int
	reader  *broker.Reader
}

func (m *machine) name(s string) string { return fmt.Sprintf("%s%d", s, m.n) }

func newMachine(ctx context.Context, t *rapid.T, c *broker.Client) *machine {
	m := &machine{ctx: ctx, c: c, n: machines.Add(1), entries: map[broker.Ref]broker.Entry{}, stamps: map[broker.Item]string{}}
	maxA := rapid.SampledFrom([]int64{0, 6, 20}).Draw(t, "bound of a")
	maxB := rapid.SampledFrom([]int64{0, 4, 12}).Draw(t, "bound of b")
	m.a = m.declare(t, broker.Queue{Name: m.name("a"), Bounds: broker.Bounds{Max: maxA}})
	m.b = m.declare(t, broker.Queue{Name: m.name("b"), Bounds: broker.Bounds{Max: maxB}, From: []string{m.name("a")}, Seal: true})
	for i := range rapid.IntRange(1, 3).Draw(t, "sources") {
		s, stored, err := c.Source(ctx, m.name(fmt.Sprintf("s%d-", i)), m.a, 0)
		if err != nil || stored != 0 {
			t.Fatal(stored, err)
		}
		m.feeders = append(m.feeders, &feeder{Source: s, delivered: map[int64]int{}})
	}
	for _, err := range []error{
		c.Join(ctx, broker.RoleWorker, m.name("w"), nil), c.Join(ctx, broker.RoleWorker, m.name("v"), nil),
		c.Join(ctx, broker.RoleExecutor, m.name("x"), nil),
		c.Stage(ctx, broker.Stage{ID: m.b.Name, Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{m.a}, Outs: []broker.Out{{Queue: m.b}}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.consume(t)
	return m
}

func (m *machine) declare(t *rapid.T, q broker.Queue) broker.Queue {
	t.Helper()
	q, made, err := m.c.Declare(m.ctx, q)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	return q
}

func (m *machine) close() {
	if m.reader != nil {
		_ = m.reader.Close()
	}
}

// stored returns the number of items that the sources have stored.
func (m *machine) stored() (n int64) {
	for _, f := range m.feeders {
		n += f.stored
	}
	return n
}

// places are the parts of a queue in the model.
type places struct {
	name                               string
	unread, requeued, suspect, delayed []part
	held                               []held
}

// check compares the items in each place with the model.
func (p places) check(t *rapid.T, got broker.Contents) {
	t.Helper()
	var running []part
	for _, h := range p.held {
		running = append(running, h.part)
	}
	var want [5]int64
	for i, parts := range [][]part{p.unread, p.requeued, p.suspect, p.delayed, running} {
		want[i], _ = items(parts)
	}
	if found := [5]int64{got.Waiting, got.Requeued, got.Suspects, got.Delayed, got.Running}; found != want || got.AtLeast || got.Entries != int64(len(p.held)) {
		t.Fatalf("%s has %v items waiting, requeued, suspect, delayed and running in %d entries; the model has %v in %d", p.name, found, got.Entries, want, len(p.held))
	}
	if rest := len(p.unread) + len(p.requeued) + len(p.suspect) + len(p.delayed); got.Oldest.IsZero() != (rest == 0) {
		t.Fatalf("%s has %d entries that nobody has read, the oldest of %v", p.name, rest, got.Oldest)
	}
}

// invariants compares the counters with the model.
func (m *machine) invariants(t *rapid.T) {
	looked, err := m.c.Contents(m.ctx, []string{m.a.Name, m.name("gone"), m.b.Name})
	if err != nil || len(looked) != 2 {
		t.Fatal(len(looked), err)
	}
	if a, b := looked[0], looked[1]; a.Queue.Items != a.Left()+b.Queue.Items {
		t.Fatalf("of %d items, %d are in the queue and %d behind it: %+v", a.Queue.Items, a.Left(), b.Queue.Items, a)
	}
	for i, q := range []places{{m.a.Name, m.unreadA, m.unreadR, m.unreadX, m.delayed, m.heldA}, {m.b.Name, m.unreadB, nil, nil, nil, m.heldB}} {
		got, err := m.c.Waiting(m.ctx, q.name)
		n, bytes := items(q.unread)
		want := broker.Backlog{Items: n, Bytes: bytes, Running: int64(len(q.held)), Delayed: int64(len(q.delayed))}
		want.Entries = int64(len(q.unread)+len(q.requeued)+len(q.suspect)) + want.Running + want.Delayed
		want.Added = got.Added
		if q.name == m.a.Name {
			want.Added = m.stored()
		}
		if err != nil || got != want {
			t.Fatalf("%s: %+v, %v; the model has %+v", q.name, got, err, want)
		}
		q.check(t, looked[i])
	}
}

func (m *machine) feeder(t *rapid.T) *feeder { return rapid.SampledFrom(m.feeders).Draw(t, "source") }

// scatter stores batches that follow the stored ones, or begin below or above them.
func (m *machine) scatter(t *rapid.T) {
	f := m.feeder(t)
	at := f.stored
	switch rapid.IntRange(0, 9).Draw(t, "where") {
	case 0:
		at = max0(at - 1) // straddles
	case 1:
		at++ // as after a failover
	}
	parcels := []broker.Parcel{}
	for range rapid.IntRange(1, 3).Draw(t, "batches") {
		n := rapid.Int64Range(1, 5).Draw(t, "items")
		trace := rapid.SampledFrom([]string{"", fmt.Sprint("trace ", at)}).Draw(t, "trace")
		parcels = append(parcels, broker.Parcel{Batch: words(f.Name, at, at+n), Trace: trace})
		at += n
	}
	m.send(t, f, rapid.SampledFrom([]broker.Window{{}, {}, {Items: 10}, {Items: 10, OnceGathered: true}}).Draw(t, "window"), parcels)
	f.last = parcels
}

// resend repeats a call whose reply was lost.
func (m *machine) resend(t *rapid.T) {
	f := m.feeder(t)
	if f.last == nil {
		return
	}
	m.send(t, f, broker.Window{}, f.last)
}

func (m *machine) send(t *rapid.T, f *feeder, window broker.Window, parcels []broker.Parcel) {
	t.Helper()
	added, want := f.scatterModel(m.unreadA, m.a.Max, window, parcels)
	got, err := m.c.Scatter(m.ctx, f.Source, m.name("x"), window, parcels)
	got.Cost, got.Limit, got.Low = 0, 0, 0
	if err != nil || got != want {
		t.Fatalf("scattered %+v, %v; the model has %+v", got, err, want)
	}
	m.unreadA, f.stored = append(m.unreadA, added...), want.Stored
	if n := window.Items; n > 0 && f.stored > f.low+n {
		f.window, m.ahead = n, true
	}
}

func (m *machine) worker(t *rapid.T) string {
	return m.name(rapid.SampledFrom([]string{"w", "v"}).Draw(t, "worker"))
}

func (m *machine) take(t *rapid.T) {
	m.taken(t, m.worker(t), rapid.IntRange(1, 4).Draw(t, "budget"), rapid.IntRange(0, 2).Draw(t, "suspects"))
}

func (m *machine) taken(t *rapid.T, worker string, budget, suspects int) {
	t.Helper()
	taken, err := m.c.Take(m.ctx, worker, budget, suspects, []broker.Route{{In: m.a.Name, Outs: []string{m.b.Name}}})
	if err != nil || taken[0].Sick {
		t.Fatalf("take: %+v, %v", taken, err)
	}
	waiting, _ := items(m.unreadB)
	if full := m.b.Max > 0 && waiting >= m.b.Max; full != taken[0].Full {
		t.Fatalf("full: %v, the model has %d of %d", taken[0].Full, waiting, m.b.Max)
	} else if full {
		budget = 0
	}
	back := min(budget, len(m.unreadR))
	suspect := min(budget-back, suspects, len(m.unreadX))
	fresh := min(budget-back-suspect, len(m.unreadA))
	m.ahead = m.ahead && (taken[0].Full || len(m.unreadA) > 0)
	if m.ahead {
		fresh = min(fresh, within(m.unreadA, m.feeders))
	}
	want := slices.Concat(m.unreadR[:back], m.unreadA[:fresh], m.unreadX[:suspect])
	m.unreadR, m.unreadA, m.unreadX = m.unreadR[back:], m.unreadA[fresh:], m.unreadX[suspect:]
	m.hold(t, &m.heldA, worker, taken[0].Entries, want)
}

func (m *machine) hold(t *rapid.T, in *[]held, by string, entries []broker.Entry, want []part) {
	t.Helper()
	if err := m.c.Fetch(m.ctx, nil, entries); err != nil || len(entries) != len(want) {
		t.Fatalf("read %d entries, %v; the model has %d", len(entries), err, len(want))
	}
	for i, e := range entries {
		want[i].check(t, e)
		m.checkStamp(t, e)
		m.entries[e.Ref] = e
		*in = append(*in, held{want[i], e.Ref, by})
	}
}

// checkStamp compares the stamp of an entry with the one that its items had before. The client knows the
// time of Redis only to within a round trip.
func (m *machine) checkStamp(t *rapid.T, e broker.Entry) {
	t.Helper()
	if age := m.c.Now().Sub(e.Scattered()); age < -time.Second || age > time.Hour {
		t.Fatalf("the stamp %q is %v old", e.Stamp, age)
	}
	for at := e.First; at < e.End(); at++ {
		item := broker.Item{Source: e.Source, Offset: at}
		if before, known := m.stamps[item]; known && before != e.Stamp {
			t.Fatalf("%v has the stamp %q, before it was %q", item, e.Stamp, before)
		}
		m.stamps[item] = e.Stamp
	}
}

// complete completes some entries of a worker, each in its own way.
func (m *machine) complete(t *rapid.T) {
	worker := m.worker(t)
	var done []broker.Completion
	var moved func()
	for _, h := range slices.Clone(m.heldA) {
		if h.by != worker || rapid.IntRange(0, 2).Draw(t, "leave") == 0 {
			continue
		}
		d := m.outcome(t, h)
		done = append(done, d)
		before := moved
		moved = func() {
			if before != nil {
				before()
			}
			m.commit(h, d)
		}
	}
	if done == nil {
		return
	}
	outcomes, err := m.c.Complete(m.ctx, done)
	if err != nil || slices.ContainsFunc(outcomes, func(o broker.Outcome) bool { return o != broker.Committed }) {
		t.Fatalf("completed %v, %v", outcomes, err)
	}
	moved()
	m.history = append(m.history, done...)
}

// advance commits one entry and takes, for the gather, the next entry of b.
func (m *machine) advance(t *rapid.T) {
	if len(m.heldA) == 0 {
		return
	}
	h := rapid.SampledFrom(m.heldA).Draw(t, "finished")
	d := m.outcome(t, h)
	if d.Outs == nil {
		return
	}
	outcome, entries, err := m.c.CommitAndTakeNext(m.ctx, d, m.g.ID)
	if err != nil || outcome != broker.Committed {
		t.Fatalf("advanced %v, %v", outcome, err)
	}
	m.commit(h, d)
	m.history = append(m.history, d)
	next := m.unreadB[:1]
	m.unreadB = m.unreadB[1:]
	m.hold(t, &m.heldB, m.g.ID, entries, next)
}

// outcome draws the completion of an entry: a part of it is done, the rest goes back in one or two
// batches.
func (m *machine) outcome(t *rapid.T, h held) broker.Completion {
	e := m.entries[h.ref]
	d := broker.Completion{Entry: e, In: m.a}
	done := rapid.Int64Range(0, 2*(h.to-h.from)).Draw(t, "done")
	rest := e.Batch
	if done >= h.to-h.from {
		d.Outs = []broker.Output{{Queue: m.b, Batch: e.Batch}}
		return d
	}
	if done > 0 {
		d.Outs = []broker.Output{{Queue: m.b}}
		d.Outs[0].Batch, rest = split(t, rest, int(done))
	}
	if k := rapid.IntRange(0, rest.N-1).Draw(t, "split the rest at"); k > 0 {
		var head batch.Batch
		head, rest = split(t, rest, k)
		d.Remainders = append(d.Remainders, broker.Remainder{Batch: head, Attempts: h.attempts})
	}
	last := broker.Remainder{Batch: rest, Attempts: h.attempts}
	if !h.lost && rapid.Bool().Draw(t, "try again later") {
		last.Attempts, last.Delay = h.attempts+1, time.Millisecond
	}
	d.Remainders = append(d.Remainders, last)
	return d
}

func split(t *rapid.T, b batch.Batch, k int) (head, tail batch.Batch) {
	t.Helper()
	head, tail, err := b.Split(k)
	if err != nil {
		t.Fatal(err)
	}
	return head, tail
}

func (m *machine) commit(h held, d broker.Completion) {
	take(&m.heldA, func(o held) bool { return o.ref == h.ref })
	delete(m.entries, h.ref)
	for _, out := range d.Outs {
		m.unreadB = append(m.unreadB, part{source: h.source, from: out.First, to: out.End(), size: len(out.Frame), lost: h.lost})
	}
	for _, rest := range d.Remainders {
		back := part{h.source, rest.First, rest.End(), len(rest.Frame), h.crashes, h.lost, rest.Attempts}
		if rest.Delay > 0 {
			m.delayed = append(m.delayed, back)
		} else {
			m.comeBack(back)
		}
	}
}

func (m *machine) comeBack(p part) {
	if p.crashes >= broker.Suspicious {
		m.unreadX = append(m.unreadX, p)
	} else {
		m.unreadR = append(m.unreadR, p)
	}
}

// bringBack waits until all delayed entries are requeued. They are sorted by their due time, which
// the model does not know.
func (m *machine) bringBack(t *rapid.T) {
	if len(m.delayed) == 0 {
		return
	}
	for m.c.Raw().ZCard(m.ctx, m.c.Key("due")).Val() > 0 {
		if err := m.c.RequeueDue(m.ctx); err != nil {
			t.Fatal(err)
		}
	}
	back, err := m.c.Raw().XRevRangeN(m.ctx, m.c.Key("r:"+m.a.Name), "+", "-", int64(len(m.delayed))).Result()
	if err != nil || len(back) != len(m.delayed) {
		t.Fatalf("%d entries came back, the model has %d, %v", len(back), len(m.delayed), err)
	}
	for _, entry := range slices.Backward(back) {
		i := slices.IndexFunc(m.delayed, func(p part) bool {
			return p.source == entry.Values["s"] && strconv.FormatInt(p.from, 10) == entry.Values["o"]
		})
		if i < 0 {
			t.Fatalf("%v came back, the model has %v", entry.Values, m.delayed)
		}
		m.unreadR = append(m.unreadR, m.delayed[i])
		m.delayed = slices.Delete(m.delayed, i, i+1)
	}
}

// zombie repeats a completion, or completes an entry that was requeued.
func (m *machine) zombie(t *rapid.T) {
	if m.history == nil {
		return
	}
	d := rapid.SampledFrom(m.history).Draw(t, "finished")
	outcomes, err := m.c.Complete(m.ctx, []broker.Completion{d})
	if err != nil || outcomes[0] != broker.Superseded {
		t.Fatalf("a zombie completed %v, %v", outcomes, err)
	}
}

// die requeues the entries of a worker, which continues as a zombie.
func (m *machine) die(t *rapid.T) {
	worker := m.worker(t)
	if err := m.c.Die(m.ctx, worker); err != nil {
		t.Fatal(err)
	}
	for _, part := range []broker.StreamKind{broker.Fresh, broker.Returned, broker.Suspect} {
		for _, h := range take(&m.heldA, func(h held) bool { return h.by == worker && h.ref.Kind == part }) {
			m.history = append(m.history, broker.Completion{Entry: m.entries[h.ref], In: m.a,
				Outs: []broker.Output{{Queue: m.b, Batch: m.entries[h.ref].Batch}}})
			delete(m.entries, h.ref)
			h.crashes++
			m.comeBack(h.part)
		}
	}
}

// takeOver makes a successor of a source. The old source is fenced.
func (m *machine) takeOver(t *rapid.T) {
	f := m.feeder(t)
	old := f.Source
	s, stored, err := m.c.Source(m.ctx, f.Name, m.a, 0)
	if err != nil || stored != f.stored || s.Epoch <= old.Epoch {
		t.Fatalf("took over %+v at %d, %v; the model has %d", s, stored, err, f.stored)
	}
	f.Source = s
	_, err = m.c.Scatter(m.ctx, old, m.name("x"), broker.Window{}, []broker.Parcel{{Batch: words(f.Name, f.stored, f.stored+1)}})
	if !errors.Is(err, broker.ErrFenced) {
		t.Fatalf("the old one scatters: %v", err)
	}
}

// clean deletes the flow. Only payloads of zombies may be left, which expire.
func (m *machine) clean(t *rapid.T) {
	for _, err := range []error{
		m.c.Release(m.ctx, m.g), m.c.Delete(m.ctx, m.a.Name), m.c.Delete(m.ctx, m.b.Name),
		m.c.Leave(m.ctx, broker.RoleWorker, m.name("w")), m.c.Leave(m.ctx, broker.RoleWorker, m.name("v")),
		m.c.Leave(m.ctx, broker.RoleExecutor, m.name("x")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := m.c.Raw().Keys(m.ctx, m.c.Key("*")).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		ttl, err := m.c.Raw().PTTL(m.ctx, key).Result()
		if err != nil || (ttl <= 0 || !strings.HasPrefix(key, m.c.Key("f:"))) && key != m.c.Key("runs") {
			t.Errorf("%s is left, for %v, %v", key, ttl, err)
		}
		m.c.Raw().Del(m.ctx, key)
	}
}
