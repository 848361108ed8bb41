package embedded

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
)

// An id identifies an entry of a stream.
type id struct{ ms, seq uint64 }

var lastID = id{math.MaxUint64, math.MaxUint64}

func (a id) compare(b id) int { return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.seq, b.seq)) }

func (a id) String() string {
	b := make([]byte, 0, 24)
	b = strconv.AppendUint(b, a.ms, 10)
	b = append(b, '-')
	return string(strconv.AppendUint(b, a.seq, 10))
}

// next returns the id after a. The last id has none.
func (a id) next() (id, bool) {
	switch {
	case a.seq < math.MaxUint64:
		return id{a.ms, a.seq + 1}, true
	case a.ms < math.MaxUint64:
		return id{a.ms + 1, 0}, true
	}
	return a, false
}

// before returns the id before a. The first id has none.
func (a id) before() (id, bool) {
	switch {
	case a.seq > 0:
		return id{a.ms, a.seq - 1}, true
	case a.ms > 0:
		return id{a.ms - 1, math.MaxUint64}, true
	}
	return a, false
}

// parseID parses an id. seq is the default of its second part.
func parseID(text string, seq uint64) (i id, ok bool) {
	ms, rest, both := strings.Cut(text, "-")
	var err, err2 error
	i.ms, err = strconv.ParseUint(ms, 10, 64)
	if i.seq = seq; both {
		i.seq, err2 = strconv.ParseUint(rest, 10, 64)
	}
	return i, err == nil && err2 == nil
}

// A stream is a list of entries, with the groups that read it.
type stream struct {
	entries []entry
	last    id // id of the entry added last
	groups  *ordered[*group]
}

type entry struct {
	id     id
	fields []string
}

func newStream() *stream { return &stream{groups: newOrdered[*group]()} }

// at returns the index of an entry, or of the first one after it.
func (s *stream) at(i id) (index int, there bool) {
	if len(s.entries) > 0 && s.entries[len(s.entries)-1].id.compare(i) < 0 {
		return len(s.entries), false
	}
	return slices.BinarySearchFunc(s.entries, i, func(e entry, i id) int { return e.id.compare(i) })
}

// fields returns the fields of an entry.
func (s *stream) fields(i id) (fields []string, there bool) {
	at, there := s.at(i)
	if there {
		fields = s.entries[at].fields
	}
	return fields, there
}

// after returns the entries after an id, at most count if count is positive.
func (s *stream) after(i id, count int) []entry {
	from, ok := i.next()
	if !ok {
		return nil
	}
	at, _ := s.at(from)
	list := s.entries[at:]
	if count > 0 {
		list = list[:min(count, len(list))]
	}
	return list
}

func (s *stream) remove(i id) bool {
	at, there := s.at(i)
	if there {
		s.entries = deleteAt(s.entries, at)
	}
	return there
}

// trim removes the first n entries and returns their number.
func (s *stream) trim(n int) int {
	n = max(n, 0)
	clear(s.entries[:n])
	s.entries = s.entries[n:]
	return n
}

// A group reads a stream: each entry goes to one of its consumers.
type group struct {
	last      id        // id of the last delivered entry
	pending   []pending // sorted by id
	consumers *ordered[*consumer]
}

// A pending entry was delivered and not acknowledged. It may be deleted from the stream.
type pending struct {
	id    id
	owner *consumer
	at    int64 // time of the last delivery, in ms
	count int64 // number of deliveries
}

type consumer struct {
	name string
	held int   // number of its pending entries
	seen int64 // time of its last activity, in ms
}

func newGroup(last id) *group { return &group{last: last, consumers: newOrdered[*consumer]()} }

// consumer returns a consumer and records its activity. It creates the consumer if there is none.
func (g *group) consumer(name string, now int64) *consumer {
	c, there := g.consumers.get(name)
	if !there {
		c = &consumer{name: name}
		g.consumers.put(name, c)
	}
	c.seen = now
	return c
}

// at returns the index of a pending entry, or of the first one after it.
func (g *group) at(i id) (index int, there bool) {
	if len(g.pending) > 0 && g.pending[len(g.pending)-1].id.compare(i) < 0 {
		return len(g.pending), false
	}
	return slices.BinarySearchFunc(g.pending, i, func(p pending, i id) int { return p.id.compare(i) })
}

// hold makes an entry pending with a consumer, and no longer with its previous one.
func (g *group) hold(i id, owner *consumer, now, count int64) {
	at, there := g.at(i)
	if there {
		g.pending[at].owner.held--
	} else {
		g.pending = slices.Insert(g.pending, at, pending{})
	}
	owner.held++
	g.pending[at] = pending{i, owner, now, count}
}

// release removes a pending entry.
func (g *group) release(i id) bool {
	at, there := g.at(i)
	if there {
		g.pending[at].owner.held--
		g.pending = deleteAt(g.pending, at)
	}
	return there
}
