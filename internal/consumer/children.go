package consumer

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// A lineage is the place of a source among its children and its parent, see broker.Child. An offset of a
// source is delivered when its child is. The outputs for an offset may also stand together in an entry
// of the source itself: then the child exists for the mark only, while they are delivered in part.
type lineage struct {
	name   string
	parent *sourceOrder           // nil: it is no child
	at     int64                  // its offset in the parent
	count  int64                  // its items
	kids   map[int64]*sourceOrder // children that are not handed out whole, by their offsets
}

// parentsFirst returns the sources with marks, each behind its parent.
func parentsFirst(marks map[string]string) []string {
	return slices.SortedFunc(maps.Keys(marks), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(a, b))
	})
}

// adopt makes a source the child at an offset.
func (so *sourceOrder) adopt(kid *sourceOrder, at, n int64) {
	kid.parent, kid.at, kid.count = so, at, n
	if so.kids == nil {
		so.kids = map[int64]*sourceOrder{}
	}
	so.kids[at] = kid
}

// isHandedOut reports whether an offset is handed out.
func (so *sourceOrder) isHandedOut(offset int64) bool {
	return offset < so.next || so.delivered.Count(offset, offset+1) > 0
}

// holds reports whether entries of the source or of its children wait.
func (so *sourceOrder) holds() bool {
	for _, kid := range so.kids {
		if kid.holds() {
			return true
		}
	}
	return len(so.waiting) > 0
}

// complete removes a child that is handed out whole: then its offset is.
func (o *order) complete(kid *sourceOrder) {
	up := kid.parent
	if up == nil || kid.next < kid.count || up.kids[kid.at] != kid {
		return
	}
	o.remove(kid)
	up.delivered = up.delivered.Add(kid.at, kid.at+1)
	o.advance(up)
}

// remove removes a child. What waits of it are duplicates.
func (o *order) remove(kid *sourceOrder) {
	delete(kid.parent.kids, kid.at)
	delete(o.sources, kid.name)
	for _, rg := range kid.waiting {
		o.held.remove(rg)
		o.duplicates = append(o.duplicates, rg)
	}
	kid.waiting = nil
	for _, grandchild := range kid.kids {
		o.remove(grandchild)
	}
}

// cutDivided cuts a range before and behind its first offset whose items were delivered in part: the range
// is without the delivered ones then.
func (o *order) cutDivided(so *sourceOrder, rg Range) Range {
	if len(so.kids) == 0 {
		return rg
	}
	first := rg.To
	for at := range so.kids {
		if at >= rg.From {
			first = min(first, at)
		}
	}
	switch first {
	case rg.To:
		return rg
	case rg.From:
		kid := so.kids[first]
		rg.skip = kid.delivered.Add(0, kid.next)
		o.remove(kid)
		first++
	}
	o.keep(so, rg, first)
	rg.To = first
	return rg
}

// gap returns the first offset of a source that is missing, or that of its child there, or of a child of
// that.
func (o *order) gap(source string) broker.Gap {
	so := o.sources[source]
	if so == nil {
		return broker.Gap{Source: source}
	}
	for so.kids[so.next] != nil {
		so = so.kids[so.next]
	}
	return broker.Gap{Source: so.name, Offset: so.next}
}

// end returns the offset up to which a source has items, which is stored for one that is no child.
func (o *order) end(source string, stored int64) int64 {
	if _, _, n, ok := broker.Parent(source); ok {
		return n
	}
	return stored
}

// without returns the items of the only offset of a range that are not among some.
func (rg Range) without(skip ranges.Set) (rest []Range) {
	for _, s := range skip.Without(0, int64(rg.Len())) {
		head, _ := rg.split(int(s.To))
		_, part := head.split(int(s.From))
		rest = append(rest, part)
	}
	return rest
}
