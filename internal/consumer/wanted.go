package consumer

import (
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/waits"
)

// wantedInterval is the least time between two looks at the sources.
const wantedInterval = time.Second

// A want is the first stored item of a source that has not arrived.
type want struct {
	offset int64
	since  time.Time // when a look first found it missing; zero: none is missing
}

// wanted notes the stored item for which a gather has waited longest. The read loop looks; any
// goroutine may read the oldest.
type wanted struct {
	sources *sources
	order   *order
	looked  time.Time
	oldest  atomic.Pointer[wantedItem] // nil: none was missing in two looks
}

// A wantedItem is the want of a source.
type wantedItem struct {
	source string
	want
}

// look looks at all sources, if the last look was long enough ago.
func (w *wanted) look(now time.Time) {
	if now.Sub(w.looked) < wantedInterval {
		return
	}
	w.looked = now
	var oldest *source
	for _, s := range w.sources.list {
		next := w.order.handedOut(s.name)
		switch {
		case next >= s.stored:
			s.missing = want{}
			continue
		case s.missing.since.IsZero() || s.missing.offset != next:
			s.missing = want{next, now}
		}
		if oldest == nil || s.missing.since.Before(oldest.missing.since) {
			oldest = s
		}
	}
	if oldest == nil || oldest.missing.since.Equal(now) {
		w.oldest.Store(nil)
		return
	}
	w.oldest.Store(&wantedItem{oldest.name, oldest.missing})
}

// arrived forgets the oldest item if a range has it.
func (w *wanted) arrived(rg Range) {
	if o := w.oldest.Load(); o != nil && o.source == rg.Entry.Source && o.offset < rg.To {
		w.oldest.Store(nil)
	}
}

// Report describes the gather and what it waits for. One goroutine calls it.
func (r *Receiver) Report() broker.GatherReport {
	program := r.program.Read()
	g := broker.GatherReport{Queue: r.gather.Queue.Name, Reader: program.Percent}
	if program.For > 0 {
		g.For = max(1, program.For.Milliseconds())
	}
	g.Delivered, g.Held, g.Bytes = r.tracker.undelivered()
	latency := r.Latency()
	g.Times = latency.Report()
	g.Held += r.loop.order.held.items.Load()
	g.Bytes += r.loop.order.held.bytes.Load()
	if o := r.wanted.oldest.Load(); o != nil {
		source, _ := broker.Root(o.source)
		g.Wants = &broker.WantedItem{Source: source, Offset: o.offset, For: max(1, time.Since(o.since).Milliseconds())}
	}
	return g
}

// Program returns the clock of the time in which the Receiver waits for the program that takes its
// items.
func (r *Receiver) Program() *waits.Clock { return r.program }

// undelivered returns the number of delivered items, and the items that are handed out and not
// delivered, with the bytes of their frames.
func (t *tracker) undelivered() (delivered, items, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add := func(rg Range, n int64) {
		items += n
		bytes += int64(len(rg.Entry.Frame)) * n / int64(max(1, rg.Entry.N))
	}
	for i, rg := range t.handedOut {
		n := rg.Len()
		if i == 0 {
			n -= t.first
		}
		add(rg, int64(n))
	}
	for at := t.manual.open.Front(); at != nil; at = at.Next() {
		open := at.Value.(*openRange)
		add(open.rg, int64(open.left))
	}
	items += int64(len(t.nacks.pending) + len(t.nacks.due))
	return t.delivered, items, bytes
}
