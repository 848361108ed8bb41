package consumer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

const (
	ackEntries = 256  // that one acknowledgement takes
	ackSources = 256  // whose marks one acknowledgement moves
	ackSettled = 1024 // items whose deliveries one acknowledgement forgets
	ackMany    = 4    // that do not wait for more
	ackEager   = 64   // acknowledgements that do not wait for more, behind one with a waiting caller
)

// acks turns the number of delivered items into entries to delete and marks to
// move. Its lock is never held across I/O.
type acks struct {
	mu      sync.Mutex
	wake    chan struct{}
	pieces  []Range // handed out and not delivered whole
	first   int64   // items of pieces[0] that were delivered
	marks   map[string]ranges.Set
	moved   map[string]bool // marks to write
	whole   []broker.Entry  // delivered whole, not yet deleted
	gone    []string        // ids deleted since the reader asked
	retired []string        // sources forgotten since the reader asked
	roots   map[string]string
	ends    map[string]int64      // sources to forget when delivered to there
	ended   bool                  // no more results will be handed out
	manual  handed                // where each item is acknowledged by itself
	counts  map[broker.Item]int64 // deliveries of items that were given back, see broker.Gather.Nacked
	settled map[string][]int64    // offsets by source: acknowledged, their deliveries to be forgotten
	writing []broker.Mark         // marks that are being written
	waiters []*waiter             // for marks
	over    error                 // why no more results are acknowledged
	urgent  bool                  // acknowledgements have to be written at once
	rests   bool                  // the committer waits for more acknowledgements
	eager   int                   // acknowledgements that do not wait for more
}

func (a *acks) begin(delivered map[string]string, nacked map[broker.Item]int64) error {
	a.wake = make(chan struct{}, 1)
	a.marks, a.moved = map[string]ranges.Set{}, map[string]bool{}
	a.roots, a.ends = map[string]string{}, map[string]int64{}
	a.manual.fewer, a.manual.again = make(chan struct{}, 1), make(chan struct{}, 1)
	a.counts, a.settled = maps.Clone(nacked), map[string][]int64{}
	if a.counts == nil {
		a.counts = map[broker.Item]int64{}
	}
	for source, mark := range delivered {
		r, err := ranges.Parse(mark)
		if err != nil {
			return fmt.Errorf("source %s: %w", source, err)
		}
		a.marks[source] = r
	}
	for item := range nacked {
		if a.marks[item.Source].Count(item.Offset, item.Offset+1) > 0 {
			a.settle(item.Source, item.Offset, item.Offset+1)
			a.moved[item.Source] = true
		}
	}
	return nil
}

// ring wakes who writes, unless he waits for more. The lock is held.
func (a *acks) ring() {
	if a.rests && !a.presses() {
		return
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// presses reports whether the acknowledgements are written at once. The lock is held.
func (a *acks) presses() bool { return a.urgent || a.eager > 0 || len(a.whole) >= ackMany }

// coalesce reports whether the committer may wait to batch acknowledgements. Until resume is called, new
// acknowledgements do not wake it.
func (a *acks) coalesce() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rests = !a.presses()
	return a.rests
}

func (a *acks) resume() {
	a.mu.Lock()
	a.rests = false
	a.mu.Unlock()
}

// track takes note of a piece before it is handed out, or of its beginning. It returns that and the
// rest.
func (a *acks) track(ctx context.Context, p Range) (head, rest Range, err error) {
	head = a.apart(p)
	if a.manual.on {
		head, err = a.newTickets(ctx, head)
	} else {
		a.mu.Lock()
		a.pieces = append(a.pieces, head)
		a.mu.Unlock()
	}
	_, rest = p.cut(head.Len())
	return head, rest, err
}

// entry takes note of an entry without new items.
func (a *acks) entry(e broker.Entry) {
	a.mu.Lock()
	a.whole = append(a.whole, e)
	a.ring()
	a.mu.Unlock()
}

// cover takes note of items of an entry that are not handed out, since they came
// in another entry.
func (a *acks) cover(p Range) {
	a.mu.Lock()
	a.finish(p, p.To-p.From)
	a.ring()
	a.mu.Unlock()
}

// finish counts items of an entry that are done.
func (a *acks) finish(p Range, items int64) {
	*p.left -= items
	if *p.left != 0 {
		return
	}
	if p.Entry.ID != "" {
		a.whole = append(a.whole, *p.Entry)
	}
	if p.Entry.Payload != "" {
		a.manual.memory.Put(p.Entry.Frame)
	}
}

func (a *acks) feeds(source, root string) {
	a.mu.Lock()
	a.roots[source] = root
	a.mu.Unlock()
}

// retire lets a source be forgotten once it is delivered up to its end.
func (a *acks) retire(source string, end int64) {
	a.mu.Lock()
	a.ends[source] = end
	if a.marks[source].Low() >= end {
		a.moved[source] = true
		a.urgent = true
		a.ring()
	}
	a.mu.Unlock()
}

// takeRetired returns the sources that were forgotten since the last call.
func (a *acks) takeRetired() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	retired := a.retired
	a.retired = nil
	return retired
}

// forget removes a source.
func (a *acks) forget(source string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.marks, source)
	delete(a.ends, source)
	delete(a.roots, source)
	delete(a.moved, source)
	delete(a.settled, source)
}

func (a *acks) end() {
	a.mu.Lock()
	a.ended, a.urgent = true, true
	a.ring()
	knock(a.manual.again)
	a.mu.Unlock()
}

// deliver moves the marks by n items.
func (a *acks) deliver(n int) {
	if n == 0 || a.manual.on {
		return
	}
	a.mu.Lock()
	left := int64(n)
	for left > 0 && len(a.pieces) > 0 {
		p := a.pieces[0]
		from := p.From + a.first
		to := min(p.To, from+left)
		a.mark(p, from, to)
		left -= to - from
		if a.first += to - from; to == p.To {
			a.pieces, a.first = a.pieces[1:], 0
		}
	}
	a.ring()
	a.mu.Unlock()
}

// mark takes items of a piece for delivered.
func (a *acks) mark(p Range, from, to int64) {
	if p.Notice {
		return
	}
	a.marks[p.Entry.Source] = a.marks[p.Entry.Source].Add(from, to)
	a.moved[p.Entry.Source] = true
	a.settle(p.Entry.Source, from, to)
	a.finish(p, to-from)
}

// takeGone returns the ids of the entries that were deleted since the last call.
func (a *acks) takeGone() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	gone := a.gone
	a.gone = nil
	return gone
}

// take returns the next acknowledgements; done: there will be no more.
func (a *acks) take() (entries []broker.Entry, marks []broker.Mark, done bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(len(a.whole), ackEntries)
	entries, a.whole = slices.Clone(a.whole[:n]), a.whole[n:]
	room := ackSettled
	for source := range a.moved {
		if len(marks) == ackSources {
			break
		}
		r := a.marks[source]
		end, ended := a.ends[source]
		ended = ended && r.Low() >= end
		m := broker.Mark{Source: source, Delivered: r.String(), Low: r.Low(), Settled: a.takeSettled(source, room)}
		m.Retire = ended && len(a.whole) == 0 && a.settled[source] == nil
		if marks = append(marks, m); ended == m.Retire && a.settled[source] == nil {
			delete(a.moved, source)
		}
		room -= len(m.Settled)
	}
	a.begun(marks)
	a.urgent = a.ended
	return entries, marks, a.ended && len(a.pieces) == 0 && a.manual.items == 0 && len(a.whole) == 0 && len(a.moved) == 0
}

// restore takes back acknowledgements that could not be written.
func (a *acks) restore(entries []broker.Entry, marks []broker.Mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.whole = append(entries, a.whole...)
	for _, m := range marks {
		a.moved[m.Source] = true
		if len(m.Settled) > 0 {
			a.settled[m.Source] = append(m.Settled, a.settled[m.Source]...)
		}
	}
	a.refuse()
}

func (a *acks) rootOf(source string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.roots[source]
}

// hurry takes note that somebody has waited for what was acknowledged, and will wait
// for the next ones.
func (a *acks) hurry() {
	a.mu.Lock()
	a.eager = ackEager
	a.mu.Unlock()
}

// written takes note of written acknowledgements.
func (a *acks) written(entries []broker.Entry, marks []broker.Mark) {
	a.mu.Lock()
	a.eager = max(0, a.eager-1)
	a.confirm()
	for _, m := range marks {
		if m.Retire {
			a.retired = append(a.retired, m.Source)
		}
	}
	for _, e := range entries {
		a.gone = append(a.gone, e.ID)
	}
	a.mu.Unlock()
}
