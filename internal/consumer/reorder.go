package consumer

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// A Range is the items [From, To) of an entry, to be delivered.
type Range struct {
	Entry    *broker.Entry
	From, To int64
	Notice   bool          // it tells of a source, in the place of one failed item
	left     *int64        // items of its entry that are not delivered
	held     int           // bytes that it counts for while it waits for those before it
	tickets  []Ticket      // where each item is acknowledged by itself
	at       *batch.Reader // stands before the item From; nil: it is not there yet
}

// notice is a Piece that tells something of a source: it has no offset.
func notice(source, code, message string) Range {
	return Range{
		Entry: &broker.Entry{Batch: batch.Batch{Source: source, N: 1, Lost: &batch.Failure{Code: code, Message: message}}},
		To:    1, Notice: true,
	}
}

// Len is the number of items.
func (p Range) Len() int { return int(p.To - p.From) }

// Reader reads the items. Where the entry is Lost it has none: each is that failure.
func (p Range) Reader() batch.Reader {
	if p.at != nil {
		return *p.at
	}
	r := batch.Read(p.Entry.Frame)
	for at := p.Entry.First; at < p.From && p.Entry.Lost == nil; at++ {
		r.Next() // the receiver has checked the frame
	}
	return r
}

// cut splits the piece behind n items.
func (p Range) cut(n int) (head, rest Range) {
	head, rest = p, p
	head.To = p.From + int64(n)
	rest.From = head.To
	if n > 0 && n < p.Len() && p.Entry.Lost == nil {
		r := p.Reader()
		for range n {
			r.Next()
		}
		rest.at = &r
	}
	return head, rest
}

// lose makes the items a failure.
func (p *Range) lose(why *batch.Failure) {
	e := *p.Entry
	e.Frame, e.Lost = nil, why
	p.Entry = &e
}

// failPiece is how many items that are one failure are handed out in a piece: there
// may be any number of them, at no cost, and whoever takes a piece may keep
// something for each.
const failPiece = 4096

// order puts the ranges of sources back in order. It is a data structure
// without I/O, used by one goroutine.
type order struct {
	unordered bool
	lanes     map[string]*sourceOrder
	ready     []*sourceOrder // that may have something to hand out
	covered   []Range        // ranges that came twice, in two entries; see takeCovered
	held      int            // bytes of frames that wait
}

// sourceOrder is one source.
type sourceOrder struct {
	source  string
	next    int64      // offset to hand out next
	done    ranges.Set // delivered before this reader began
	gaps    ranges.Set // dropped, as far as it is known
	waiting pieceHeap
	ready   bool // it is among those that may have something to hand out
}

func newOrder(delivered map[string]string, unordered bool) (*order, error) {
	o := &order{unordered: unordered, lanes: map[string]*sourceOrder{}}
	for source, mark := range delivered {
		done, err := ranges.Parse(mark)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", source, err)
		}
		l := o.lane(source)
		l.done = done
		l.skip()
	}
	return o, nil
}

func (o *order) lane(source string) *sourceOrder {
	l := o.lanes[source]
	if l == nil {
		l = &sourceOrder{source: source}
		o.lanes[source] = l
	}
	return l
}

// skip moves next over offsets that were delivered before.
func (l *sourceOrder) skip() {
	for len(l.done) > 0 && l.done[0].From <= l.next {
		l.next = max(l.next, l.done[0].To)
		l.done = l.done[1:]
	}
}

// fresh is what of the offsets [from, to) was not handed out.
func (l *sourceOrder) fresh(from, to int64) ranges.Set {
	return l.done.Without(max(from, min(l.next, to)), to)
}

// put adds an entry and returns how many pieces of it remain to be delivered.
func (o *order) put(e *broker.Entry) int {
	l := o.lane(e.Source)
	parts := l.fresh(e.First, e.End())
	left, held := new(int64), len(e.Frame)
	for _, s := range parts {
		*left += s.To - s.From
		l.waiting.push(Range{Entry: e, From: s.From, To: s.To, left: left, held: held})
		o.held += held
		held = 0
	}
	if len(parts) > 0 && !l.ready {
		l.ready, o.ready = true, append(o.ready, l)
	}
	return len(parts)
}

// pop returns the next piece that may be handed out.
func (o *order) pop() (Range, bool) {
	for len(o.ready) > 0 {
		l := o.ready[0]
		for len(l.waiting) > 0 && (o.unordered || l.waiting[0].From <= l.next) {
			p := l.first()
			o.held -= p.held
			p, ok := o.uncovered(l, p)
			if !ok {
				continue
			}
			if o.unordered {
				l.done = l.done.Add(p.From, p.To)
			} else {
				l.next = p.To
			}
			l.skip()
			return p, true
		}
		l.ready, o.ready = false, o.ready[1:]
	}
	return Range{}, false
}

// release lets all that waits be handed out, although items before it are missing.
func (o *order) release() {
	o.unordered = true
	for _, l := range o.lanes {
		if len(l.waiting) > 0 && !l.ready {
			l.ready, o.ready = true, append(o.ready, l)
		}
	}
}

// first takes what waits first, not more than a piece of it.
func (l *sourceOrder) first() Range {
	p := l.waiting[0]
	if p.Entry.Lost != nil && p.To-p.From > failPiece {
		p.To = p.From + failPiece
		l.waiting[0].From = p.To
		l.waiting.down()
		return p
	}
	return l.waiting.pop()
}

// fail puts a failure in the place of items for which no entry will come.
func (o *order) fail(source string, s ranges.Span, why *batch.Failure) {
	for from := s.From; from < s.To; {
		n := min(s.To-from, math.MaxInt)
		o.put(&broker.Entry{Batch: batch.Batch{Source: source, First: from, N: int(n), Lost: why}})
		from += n
	}
}

// uncovered cuts off a piece what came in another entry while it was waiting.
// Ranges of a source overlap only after Redis has lost writes: what is held here
// is older than what it has now, which may be cut elsewhere.
func (o *order) uncovered(l *sourceOrder, p Range) (rest Range, ok bool) {
	rest = p
	parts := l.fresh(p.From, p.To)
	if len(parts) == 0 {
		o.covered = append(o.covered, p)
		return Range{}, false
	}
	rest.From, rest.To = parts[0].From, parts[0].To
	if rest.From > p.From {
		before := p
		before.To = rest.From
		o.covered = append(o.covered, before)
	}
	if rest.To < p.To {
		after := p
		after.From, after.held = rest.To, 0
		l.waiting.push(after)
	}
	return rest, true
}

// takeCovered returns the pieces that need not be delivered, since all of their
// items were handed out from other entries.
func (o *order) takeCovered() []Range {
	covered := o.covered
	o.covered = nil
	return covered
}

// waits reports whether an entry would wait for those before it.
func (o *order) waits(e broker.Entry) bool { return !o.unordered && e.First > o.reached(e.Source) }

// reached is the offset of a source up to which all was handed out.
func (o *order) reached(source string) int64 {
	if l := o.lanes[source]; l != nil {
		return l.next
	}
	return 0
}

// missing is what of a source, up to an offset, has not come.
func (o *order) missing(source string, stored int64) ranges.Set {
	l := o.lane(source)
	have := slices.Clone(l.done)
	waiting := slices.SortedFunc(slices.Values(l.waiting), func(a, b Range) int { return cmp.Compare(a.From, b.From) })
	for _, p := range waiting {
		have = have.Add(p.From, p.To)
	}
	return have.Without(l.next, stored)
}

// drop puts a failure in the place of items that a source has dropped, as far as that is not known yet.
func (o *order) drop(source string, dropped ranges.Set, why batch.Failure) {
	l := o.lane(source)
	for _, gap := range dropped {
		for _, s := range l.gaps.Without(max(gap.From, l.next), gap.To) {
			o.fail(source, s, &why)
		}
		l.gaps = l.gaps.Add(gap.From, gap.To)
	}
	passed := 0
	for passed < len(l.gaps) && l.gaps[passed].To <= l.next {
		passed++
	}
	l.gaps = l.gaps[passed:]
}

// holds reports whether entries of a source wait for those before them.
func (o *order) holds(source string) bool {
	l := o.lanes[source]
	return l != nil && len(l.waiting) > 0
}

// forget removes a source that was handed out to its end.
func (o *order) forget(source string) { delete(o.lanes, source) }
