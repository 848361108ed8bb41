package consumer

import (
	"slices"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// A family is the place of a tracked source among its children and its parent. The mark of a child has
// what is delivered of an offset of its parent. It is in Redis only while the child is delivered in part.
type family struct {
	parent string // "": it is no child
	at     int64  // its offset in the parent
	count  int64  // its items
	stored bool   // its mark is in Redis
	kids   map[int64]string
}

// adopt enters a child into its parent. The lock is held.
func (t *tracker) adopt(name string, s *trackedSource) {
	parent, at, n, ok := broker.Parent(name)
	if !ok {
		return
	}
	s.parent, s.at, s.count = parent, at, n
	up := t.source(parent)
	if up.kids == nil {
		up.kids = map[int64]string{}
	}
	up.kids[at] = name
}

// restoreMark notes a mark that is in Redis. That of a child whose offset is delivered is deleted.
func (t *tracker) restoreMark(name string, delivered ranges.Set) {
	for up, at, _, ok := broker.Parent(name); ok; up, at, _, ok = broker.Parent(up) {
		if s := t.sources[up]; s != nil && s.delivered.Count(at, at+1) > 0 {
			t.drops = append(t.drops, name)
			return
		}
	}
	s := t.source(name)
	s.delivered, s.stored = delivered, true
	t.complete(name, s)
}

// settleDelivered removes the count of deliveries of an item that is delivered already.
func (t *tracker) settleDelivered(item broker.Item) {
	name, at := item.Source, item.Offset
	for ok := true; ok; name, at, _, ok = broker.Parent(name) {
		s := t.sources[name]
		if s == nil || s.delivered.Count(at, at+1) == 0 {
			continue
		}
		if t.deliveries.remove(item) {
			s.settled = append(s.settled, item)
			t.changed[name] = s
		}
		return
	}
}

// complete records the offset of a child that is delivered whole in its parent, and forgets the child. It
// returns false for another source. The lock is held.
func (t *tracker) complete(name string, s *trackedSource) bool {
	if s.parent == "" || s.delivered.Low() < s.count {
		return false
	}
	up := t.source(s.parent)
	up.settled = append(up.settled, s.settled...)
	t.drop(name, s)
	t.markSource(s.parent, s.at, s.at+1)
	return true
}

// drop forgets a child. The lock is held.
func (t *tracker) drop(name string, s *trackedSource) {
	for _, kid := range s.kids {
		t.drop(kid, t.sources[kid])
	}
	if s.stored {
		t.drops = append(t.drops, name)
	}
	delete(t.source(s.parent).kids, s.at)
	delete(t.sources, name)
	delete(t.changed, name)
}

// dropKids forgets the children at offsets that are delivered. The lock is held.
func (t *tracker) dropKids(s *trackedSource, from, to int64) {
	for at, kid := range s.kids {
		if from <= at && at < to {
			t.drop(kid, t.sources[kid])
		}
	}
}

// isDropped reports whether a source is a child that is forgotten. The lock is held.
func (t *tracker) isDropped(name string) bool { return broker.IsChild(name) && t.sources[name] == nil }

// noteStored notes that a mark is in Redis. The lock is held.
func (t *tracker) noteStored(m broker.Mark) {
	switch {
	case m.Drop || !broker.IsChild(m.Source):
	case t.sources[m.Source] == nil: // it was delivered whole meanwhile
		t.drops = append(t.drops, m.Source)
	default:
		t.sources[m.Source].stored = true
	}
}

// takeDrops adds the children whose marks can be deleted: the marks of their parents are written before,
// or at the same time. The lock is held.
func (t *tracker) takeDrops(marks []broker.Mark) []broker.Mark {
	t.drops = slices.DeleteFunc(t.drops, func(name string) bool {
		for up, _, _, ok := broker.Parent(name); ok; up, _, _, ok = broker.Parent(up) {
			if t.changed[up] != nil {
				return false
			}
		}
		if len(marks) >= 2*ackSources {
			return false
		}
		marks = append(marks, broker.Mark{Source: name, Drop: true})
		return true
	})
	return marks
}

// group returns the bounds, among all items of the entry, of the items at the offset of one of them.
func (rg Range) group(k int) (first, end int) {
	at := rg.all[k]
	first, _ = slices.BinarySearch(rg.all, at)
	end, _ = slices.BinarySearch(rg.all, at+1)
	return first, end
}

// inGroup returns the child that the i-th item would belong to if the items of its offset were a source
// of their own, and its offset there. grouped is false for the only item of an offset.
func (rg Range) inGroup(i int) (child string, offset int64, grouped bool) {
	if rg.positions == nil {
		return "", 0, false
	}
	first, end := rg.group(rg.first + i)
	if end-first < 2 {
		return "", 0, false
	}
	return broker.Child(rg.Entry.Source, rg.offset(i), end-first), int64(rg.first + i - first), true
}

// markGroups is mark for a range with counts: an offset is delivered with the last one of its items. Until
// then its items are those of a child. The lock is held.
func (t *tracker) markGroups(rg Range, i, j int) {
	t.settleItems(rg, i, j)
	from := rg.border(i)
	for k, end := rg.first+i, rg.first+j; k < end; {
		first, last := rg.group(k)
		to := min(last, end)
		if first < k || to < last {
			offset := rg.Entry.First + int64(rg.all[k])
			if from < offset {
				t.markOffsets(rg, from, offset)
			}
			from = offset + 1
			t.markSome(rg, broker.Child(rg.Entry.Source, offset, last-first), ranges.Span{From: int64(k - first), To: int64(to - first)})
		}
		if k = to; k < end { // the offsets between the first and the last one are delivered whole
			k, _ = rg.group(end - 1)
		}
	}
	if to := rg.border(j); from < to {
		t.markOffsets(rg, from, to)
	}
}

// settleItems records that the deliveries of acknowledged items of a range with counts need no count any
// more. The lock is held.
func (t *tracker) settleItems(rg Range, i, j int) {
	name := rg.Entry.Source
	for ; i < j && !t.deliveries.empty(); i++ {
		if item := itemAt(rg, i); t.deliveries.remove(item) {
			s := t.source(name)
			s.settled = append(s.settled, item)
			t.changed[name] = s
		}
	}
}

// markOf returns the source whose mark has an item, from the moment on at which it is acknowledged: that
// of a mark which is not written, if there is one. The lock is held.
func (t *tracker) markOf(item broker.Item) (source string, pending bool) {
	for name, ok := item.Source, true; ok; name, _, _, ok = broker.Parent(name) {
		if t.isPending(name) {
			return name, true
		}
	}
	return item.Source, false
}

func (t *tracker) isPending(name string) bool {
	writing := func(m broker.Mark) bool { return m.Source == name && !m.Drop }
	return t.changed[name] != nil || slices.ContainsFunc(t.waiters.writing, writing)
}

// markSome records some items of an offset as delivered. The lock is held.
func (t *tracker) markSome(rg Range, child string, items ranges.Span) {
	if t.markSource(child, items.From, items.To) {
		t.finish(rg, 1)
	}
}

// cover registers a range without an item: there is nothing to deliver at its offsets.
func (t *tracker) cover(rg Range) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.markOffsets(rg, rg.From, rg.To)
	t.signal()
	signal(t.skip)
}

// deliveredUpTo returns the offset of a source up to which all items are delivered.
func (t *tracker) deliveredUpTo(source string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sources[source]; s != nil {
		return s.delivered.Low()
	}
	return 0
}
