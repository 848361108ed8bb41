//go:build !race

package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// consume starts the next gather.
func (m *machine) consume(t *rapid.T) {
	t.Helper()
	m.gathers++
	g, err := m.c.Consume(m.ctx, m.name(fmt.Sprintf("g%d-", m.gathers)), m.name("x"), m.b.Name)
	if err != nil || g.Epoch != int64(m.gathers) {
		t.Fatalf("gather %+v, %v", g, err)
	}
	for _, f := range m.feeders {
		if want := f.mark().Delivered; g.Delivered()[f.Name] != want && f.acked {
			t.Fatalf("delivered of %s: %q, the model has %q", f.Name, g.Delivered()[f.Name], want)
		}
	}
	m.close()
	m.g, m.reader = g, m.c.Reader(g.ID, time.Second)
}

func (m *machine) read(t *rapid.T) {
	m.gather(t, rapid.IntRange(1, 5).Draw(t, "entries"))
}

func (m *machine) gather(t *rapid.T, count int) {
	t.Helper()
	entries, _, err := m.reader.Read(m.ctx, []broker.StreamRef{{Queue: m.b.Name}}, count, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := min(count, len(m.unreadB))
	want := m.unreadB[:n]
	m.unreadB = m.unreadB[n:]
	m.hold(t, &m.heldB, m.g.ID, entries, want)
}

// ack delivers parts of the entries read and acknowledges those delivered completely.
func (m *machine) ack(t *rapid.T) {
	if len(m.heldB) == 0 {
		return
	}
	m.acknowledge(t, func(h held) (from, to int64) {
		n := 2*(h.to-h.from) + 1
		from = h.from + max0(rapid.Int64Range(-n, h.to-h.from).Draw(t, "from"))
		return from, min(h.to, from+rapid.Int64Range(0, n).Draw(t, "items"))
	})
}

// acknowledge delivers a range of each entry read. Lost replies make no difference.
func (m *machine) acknowledge(t *rapid.T, which func(held) (from, to int64)) {
	t.Helper()
	moved := map[string]*feeder{}
	var whole []broker.Entry
	for _, h := range m.heldB {
		i := slices.IndexFunc(m.feeders, func(f *feeder) bool { return f.Name == h.source })
		f := m.feeders[i]
		from, to := which(h)
		for at := from; at < to; at++ {
			if f.delivered[at] == 0 { // otherwise it was delivered before, and is trimmed
				f.delivered[at]++
				moved[f.Name] = f
			}
		}
		missing := false
		for at := h.from; at < h.to; at++ {
			missing = missing || f.delivered[at] == 0
		}
		if !missing {
			whole = append(whole, m.entries[h.ref])
		}
	}
	var marks []broker.Mark
	for _, f := range m.feeders {
		if moved[f.Name] != nil {
			mark := f.mark()
			f.low, f.acked = mark.Low, true
			marks = append(marks, mark)
		}
	}
	for range 2 {
		if _, err := m.c.Ack(m.ctx, m.g, whole, marks, 0, func(string) string { return m.a.Name }); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range whole {
		take(&m.heldB, func(h held) bool { return h.ref == e.Ref })
		delete(m.entries, e.Ref)
	}
}

// succession replaces the gather by a successor, which inherits.
func (m *machine) succession(t *rapid.T) {
	old := m.g
	if _, err := m.c.Consume(m.ctx, "second", m.name("x"), m.b.Name); !errors.Is(err, broker.ErrConsumerExists) {
		t.Fatalf("a second consumer: %v", err)
	}
	if rapid.Bool().Draw(t, "crash") {
		left := m.c.Leave(m.ctx, broker.RoleExecutor, m.name("x"))
		m.consume(t)
		if err := errors.Join(left, m.c.Join(m.ctx, broker.RoleExecutor, m.name("x"), nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.c.Ack(m.ctx, old, nil, []broker.Mark{{Source: "s", Delivered: "1", Low: 1}}, 0, func(string) string { return "" }); !errors.Is(err, broker.ErrFenced) {
			t.Fatalf("the old gather acknowledges: %v", err)
		}
	} else {
		if err := m.c.Release(m.ctx, old); err != nil {
			t.Fatal(err)
		}
		m.consume(t)
	}
	if err := m.c.Release(m.ctx, old); err != nil { // a late call of the old gather
		t.Fatal(err)
	}
	m.inherit(t)
}

func (m *machine) inherit(t *rapid.T) {
	t.Helper()
	entries, err := m.c.Inherit(m.ctx, m.g)
	if err != nil {
		t.Fatal(err)
	}
	var want []part
	for _, h := range take(&m.heldB, func(held) bool { return true }) {
		want = append(want, h.part)
	}
	m.hold(t, &m.heldB, m.g.ID, entries, want)
}

// drain ends the sources and processes all items.
func (m *machine) drain(t *rapid.T) {
	for _, f := range m.feeders {
		for range 2 {
			if err := m.c.Finish(m.ctx, f.Source, f.stored); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, worker := range []string{"w", "v"} {
		if err := m.c.GiveBack(m.ctx, m.name(worker), m.a.Name); err != nil {
			t.Fatal(err)
		}
		for _, part := range []broker.StreamKind{broker.Fresh, broker.Returned, broker.Suspect} {
			for _, h := range take(&m.heldA, func(h held) bool { return h.by == m.name(worker) && h.ref.Kind == part }) {
				m.comeBack(h.part)
			}
		}
	}
	m.bringBack(t)
	for len(m.unreadA)+len(m.unreadR)+len(m.unreadX)+len(m.unreadB)+len(m.heldB) > 0 {
		m.taken(t, m.name("w"), 100, 100)
		for _, h := range slices.Clone(m.heldA) {
			d := broker.Completion{Entry: m.entries[h.ref], In: m.a, Outs: []broker.Output{{Queue: m.b, Batch: m.entries[h.ref].Batch}}}
			if outcomes, err := m.c.Complete(m.ctx, []broker.Completion{d}); err != nil || outcomes[0] != broker.Committed {
				t.Fatal(outcomes, err)
			}
			m.commit(h, d)
		}
		m.gather(t, 100)
		m.acknowledge(t, func(h held) (from, to int64) { return h.from, h.to })
		m.invariants(t)
	}
	m.delivered(t)
}

// delivered checks that every item was delivered.
func (m *machine) delivered(t *rapid.T) {
	t.Helper()
	w, err := m.c.Watch(m.ctx, m.g, broker.Path{Queue: m.a.Name}, "0")
	if err != nil || w.Sealed || len(w.Sources) != len(m.feeders) {
		t.Fatal(w, err)
	}
	progress := map[string]broker.Progress{}
	for _, p := range w.Sources {
		progress[p.Name] = p
	}
	for _, f := range m.feeders {
		if want := (broker.Progress{Name: f.Name, Stored: f.stored, End: f.stored}); progress[f.Name] != want {
			t.Fatalf("source %s: %+v, the model has %+v", f.Name, progress[f.Name], want)
		}
		for at := range f.stored {
			if f.delivered[at] != 1 {
				t.Fatalf("item %d of %s was delivered %d times", at, f.Name, f.delivered[at])
			}
		}
	}
	payloads, err := m.c.Raw().Keys(m.ctx, m.c.Key("f:*")).Result()
	for _, key := range payloads {
		if ttl := m.c.Raw().PTTL(m.ctx, key).Val(); ttl <= 0 {
			t.Errorf("payload %s is left, %v", key, ttl)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
