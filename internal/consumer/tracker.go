package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// Bounds of one acknowledgement.
const (
	ackEntries = 256  // entries that it deletes
	ackSources = 256  // sources whose marks it moves
	ackSettled = 1024 // items whose counts of deliveries it removes
)

// A tracker turns the number of delivered items into acknowledgements: entries to delete and marks
// to move. Its methods can be called by any goroutine. The lock is never held across I/O.
type tracker struct {
	mu   sync.Mutex
	wake chan struct{} // signaled for the committer
	skip chan struct{} // signaled when offsets without an item are covered

	handedOut []Range // in their order, not delivered whole; without manual mode
	first     int     // delivered items of handedOut[0]
	delivered int64   // items in total

	sources map[string]*trackedSource
	changed map[string]*trackedSource // those with a mark to write

	finished []broker.Entry // delivered whole, not yet deleted
	deleted  []string       // ids of entries deleted since takeDeleted
	retired  []string       // sources retired since takeRetired
	drops    []string       // children that are delivered whole, whose marks have to be deleted
	ended    bool           // no more ranges will be handed out
	over     error          // why no more acknowledgements count

	latency    latency
	urgency    urgency
	manual     manual
	deliveries deliveries
	nacks      nackQueue
	waiters    waiters
}

// A trackedSource is the acknowledgement of one source.
type trackedSource struct {
	delivered ranges.Set    // the mark in Redis
	root      string        // its root queue
	end       int64         // it retires when it is delivered up to here; -1: not yet
	settled   []broker.Item // acknowledged items whose counts of deliveries have to be removed
	family
}

// newTracker returns a tracker that begins with the marks and the counts of deliveries in Redis.
func newTracker(marks map[string]string, nacked map[broker.Item]int64) (*tracker, error) {
	t := &tracker{
		wake: make(chan struct{}, 1), skip: make(chan struct{}, 1), sources: map[string]*trackedSource{}, changed: map[string]*trackedSource{},
		latency: latency{now: time.Now}, manual: newManual(), deliveries: newDeliveries(nacked), nacks: newNackQueue(),
	}
	for _, name := range parentsFirst(marks) {
		delivered, err := ranges.Parse(marks[name])
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", name, err)
		}
		t.restoreMark(name, delivered)
	}
	for item := range nacked {
		t.settleDelivered(item)
	}
	return t, nil
}

// source returns a source, which is added if it is new. The lock is held.
func (t *tracker) source(name string) *trackedSource {
	s := t.sources[name]
	if s == nil {
		s = &trackedSource{end: -1}
		t.sources[name] = s
		t.adopt(name, s)
	}
	return s
}

// add registers a range before it is handed out. It may register a part only: it returns that and
// the rest.
func (t *tracker) add(ctx context.Context, rg Range) (head, rest Range, err error) {
	head = t.separateNacked(rg)
	if t.manual.enabled {
		head, err = t.addManual(ctx, head)
	} else {
		t.mu.Lock()
		t.handedOut = append(t.handedOut, head)
		t.mu.Unlock()
	}
	_, rest = rg.split(head.Len())
	return head, rest, err
}

// addDelivered registers an entry whose items are all delivered already.
func (t *tracker) addDelivered(e broker.Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = append(t.finished, e)
	t.signal()
}

// skipDuplicate registers items of an entry that are not handed out, since they were handed out
// from another entry.
func (t *tracker) skipDuplicate(rg Range) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finish(rg, rg.To-rg.From)
	t.signal()
}

// deliver moves the marks by n items, in the order in which the ranges were handed out.
func (t *tracker) deliver(n int) {
	if n == 0 || t.manual.enabled {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for n > 0 && len(t.handedOut) > 0 {
		rg := t.handedOut[0]
		to := min(rg.Len(), t.first+n)
		t.mark(rg, t.first, to)
		n -= to - t.first
		if t.first = to; to == rg.Len() {
			t.handedOut, t.first = t.handedOut[1:], 0
		}
	}
	t.signal()
}

// mark records the items of a range from the i-th to before the j-th as delivered. The lock is held.
func (t *tracker) mark(rg Range, i, j int) {
	if rg.Notice {
		return
	}
	t.delivered += int64(j - i)
	if rg.positions == nil {
		t.markOffsets(rg, rg.border(i), rg.border(j))
	} else {
		t.markGroups(rg, i, j)
	}
}

// markOffsets records offsets of a range as delivered. The lock is held.
func (t *tracker) markOffsets(rg Range, from, to int64) {
	t.markSource(rg.Entry.Source, from, to)
	t.finish(rg, to-from)
}

// markSource records offsets of a source as delivered. whole reports whether it is a child that is
// delivered whole by that. The lock is held.
func (t *tracker) markSource(name string, from, to int64) (whole bool) {
	s := t.source(name)
	s.delivered = s.delivered.Add(from, to)
	t.changed[name] = s
	t.settle(name, s, from, to)
	t.dropKids(s, from, to)
	return t.complete(name, s)
}

// settle records that the deliveries of acknowledged items need no count any more. The lock is
// held.
func (t *tracker) settle(name string, s *trackedSource, from, to int64) {
	for at := from; at < to && !t.deliveries.empty(); at++ {
		if item := (broker.Item{Source: name, Offset: at}); t.deliveries.remove(item) {
			s.settled = append(s.settled, item)
		}
	}
}

// finish counts n offsets of an entry as delivered. The lock is held.
func (t *tracker) finish(rg Range, n int64) {
	if *rg.undelivered -= n; *rg.undelivered != 0 {
		return
	}
	if rg.Entry.ID != "" {
		t.finished = append(t.finished, *rg.Entry)
		t.latency.add(rg.Entry)
	}
	if rg.Entry.Payload != "" {
		t.manual.memory.Put(rg.Entry.Frame)
	}
}

// setRoot records the root queue of a source.
func (t *tracker) setRoot(source, root string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.source(source).root = root
}

// rootOf returns the root queue of a source.
func (t *tracker) rootOf(source string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	source, _ = broker.Ancestor(source, 0)
	if s := t.sources[source]; s != nil {
		return s.root
	}
	return ""
}

// retire lets a source be forgotten in Redis once it is delivered up to its end.
func (t *tracker) retire(source string, end int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.source(source)
	if s.end = end; s.delivered.Low() >= end {
		t.changed[source] = s
		t.urgency.immediate = true
		t.signal()
	}
}

// takeRetired returns the sources that were forgotten in Redis since the last call.
func (t *tracker) takeRetired() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	retired := t.retired
	t.retired = nil
	return retired
}

// takeDeleted returns the ids of the entries that were deleted since the last call.
func (t *tracker) takeDeleted() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	deleted := t.deleted
	t.deleted = nil
	return deleted
}

// forget removes a source.
func (t *tracker) forget(source string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forgetSource(source)
}

func (t *tracker) forgetSource(source string) {
	if s := t.sources[source]; s != nil {
		for _, kid := range s.kids {
			t.forgetSource(kid)
		}
	}
	delete(t.sources, source)
	delete(t.changed, source)
}

// end records that no more ranges will be handed out, except items that are given back.
func (t *tracker) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended, t.urgency.immediate = true, true
	t.signal()
	signal(t.nacks.changed)
}

// take returns the next acknowledgement. last reports that there is no other one behind it.
func (t *tracker) take() (entries []broker.Entry, marks []broker.Mark, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	room := ackSettled
	entries = t.takeFinished()
	for name, s := range t.changed {
		if len(marks) == ackSources {
			break
		}
		ended := s.end >= 0 && s.delivered.Low() >= s.end
		m := broker.Mark{Source: name, Delivered: s.delivered.String(), Low: s.delivered.Low(), Settled: s.takeSettled(room)}
		m.Retire = ended && len(t.finished) == 0 && s.settled == nil && len(t.drops) <= ackSources
		if marks = append(marks, m); ended == m.Retire && s.settled == nil {
			delete(t.changed, name)
		}
		room -= len(m.Settled)
	}
	marks = t.takeDrops(marks)
	t.waiters.begin(marks)
	t.urgency.immediate = t.ended
	last = t.ended && len(t.handedOut) == 0 && t.manual.unacked == 0 && len(t.finished) == 0 && len(t.changed) == 0 && len(t.drops) == 0
	return entries, marks, last
}

// takeFinished removes and returns entries to delete. They wait if their marks may not be written with
// them.
func (t *tracker) takeFinished() []broker.Entry {
	if len(t.changed) > ackSources {
		return nil
	}
	n := min(len(t.finished), ackEntries)
	entries := slices.Clone(t.finished[:n])
	t.finished = t.finished[n:]
	return entries
}

// takeSettled removes and returns at most n of the settled offsets.
func (s *trackedSource) takeSettled(n int) []broker.Item {
	n = min(n, len(s.settled))
	taken := s.settled[:n]
	if s.settled = s.settled[n:]; len(s.settled) == 0 {
		s.settled = nil
	}
	return taken
}

// restore takes back an acknowledgement that could not be written.
func (t *tracker) restore(entries []broker.Entry, marks []broker.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = append(entries, t.finished...)
	for _, m := range marks {
		if m.Drop || t.isDropped(m.Source) {
			t.drops = append(t.drops, m.Source)
			continue
		}
		s := t.source(m.Source)
		t.changed[m.Source] = s
		if len(m.Settled) > 0 {
			s.settled = append(m.Settled, s.settled...)
		}
	}
	t.waiters.fail()
}

// confirm records that an acknowledgement is written.
func (t *tracker) confirm(entries []broker.Entry, marks []broker.Mark) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urgency.written()
	t.waiters.confirm()
	for _, m := range marks {
		if m.Retire {
			t.retired = append(t.retired, m.Source)
		}
		t.noteStored(m)
	}
	for _, e := range entries {
		t.deleted = append(t.deleted, e.ID)
	}
}

// signal wakes the committer, unless it waits for more items. The lock is held.
func (t *tracker) signal() {
	if !t.urgency.waiting || t.urgency.urgent(len(t.finished)) {
		signal(t.wake)
	}
}

// coalesce reports whether the committer may wait for more items. Until resume is called, new items
// do not wake it.
func (t *tracker) coalesce() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urgency.waiting = !t.urgency.urgent(len(t.finished))
	return t.urgency.waiting
}

// resume lets new items wake the committer again.
func (t *tracker) resume() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urgency.waiting = false
}

// setEager records that a producer waited for an acknowledgement. It will wait for the next ones
// too.
func (t *tracker) setEager() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urgency.eager = ackEager
}

// signal wakes the receiver of a channel that has room for one signal.
func signal(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
