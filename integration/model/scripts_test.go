package model

// The scripts and commands, as changes of a state. Each runs alone, as in Redis.
const (
	none = iota
	begin
	scatter
	finish
	take
	complete
	add     // the second half of a completion that deletes first
	drop    // the second half of a completion that adds first
	reclaim // one stream; declares no process dead
	consume
	inherit
	read
	rescue
	ack
	forget // the half of an acknowledgement that deletes
	mark   // the half that moves the marks
)

var verbs = [...]string{"", "source", "scatter", "finish", "take", "complete", "complete (adds)", "complete (deletes)", "reclaim", "consume", "inherit", "read", "rescue", "ack", "ack (deletes)", "ack (marks)"}

// A reply is the result of a request.
type reply struct {
	ok     bool
	epoch  uint8
	stored uint8
	entry  entry
}

// serve runs a request.
func (m *model) serve(s *state, r request) reply {
	switch r.verb {
	case begin:
		return m.begin(s, r)
	case scatter:
		return m.scatter(s, r)
	case finish:
		return m.finish(s, r)
	case take:
		return m.take(s, r)
	case complete:
		return m.complete(s, r)
	case add:
		m.produce(s, r)
		return reply{ok: true}
	case drop:
		s.drop(r)
		return reply{ok: true}
	case reclaim:
		return m.reclaim(s, r)
	case consume:
		return m.consume(s)
	case inherit:
		return m.inherit(s)
	case read:
		return m.read(s, r)
	case rescue:
		return m.rescue(s)
	default:
		return m.ack(s, r)
	}
}

// begin is source.lua for a durable source.
func (m *model) begin(s *state, r request) reply {
	src := &s.sources[r.lane/branches]
	if src.ended {
		return reply{}
	}
	if m.broken == offsetsBeginAnew {
		src.stored = 0
	}
	src.away = false
	src.epoch++
	return reply{ok: true, epoch: src.epoch, stored: src.stored}
}

// scatter is scatter.lua with one batch, into an unbounded queue.
func (m *model) scatter(s *state, r request) reply {
	src := &s.sources[r.lane/branches]
	if src.epoch != r.epoch && m.broken != oldEpochScatters {
		return reply{}
	}
	if r.to > src.stored || m.broken == markNotLookedAt {
		s.add(entry{stream: queue, lane: r.lane, from: r.from, to: r.to})
		src.stored = max(src.stored, r.to)
	}
	return reply{ok: true}
}

// finish is finish.lua.
func (m *model) finish(s *state, r request) reply {
	src := &s.sources[r.lane/branches]
	if src.epoch != r.epoch && m.broken != oldEpochScatters || src.stored > r.to {
		return reply{}
	}
	if src.ended {
		return reply{ok: src.end == r.to}
	}
	src.end, src.ended = r.to, true
	if m.broken == endAmongItems {
		s.add(entry{stream: queue, lane: r.lane, from: r.to, to: r.to})
	}
	return reply{ok: true}
}

// orphan is abandon_sources.lua: the source of a dead process is fenced and abandoned. A durable
// source waits for a successor.
func (m *model) orphan(s *state, i int) {
	src := &s.sources[i]
	src.epoch++
	if m.plans[i].named {
		src.away = true
	} else {
		src.end, src.ended = src.stored, true
	}
}

// take is take.lua or a blocked read of one entry. The group is created with its stream.
func (m *model) take(s *state, r request) reply {
	if m.broken == groupAtTheTail && !s.group && r.stream == queue {
		for i := range s.entries {
			if s.entries[i].stream == queue {
				s.entries[i].owner = nobody
			}
		}
	}
	s.group = true
	at := s.pending(r.stream, unread)
	if at < 0 {
		return reply{}
	}
	s.entries[at].owner = r.who
	return reply{ok: true, entry: s.entries[at]}
}

// complete is complete.lua: the entry is replaced by its results and its remainder, if it still
// exists.
func (m *model) complete(s *state, r request) reply {
	if s.find(r.stream, r.lane, r.from, r.to, r.gen) < 0 && m.broken != unguarded && m.broken != addsFirst {
		return reply{}
	}
	if m.broken != deletesFirst {
		m.produce(s, r)
	}
	if m.broken != addsFirst {
		s.drop(r)
	}
	return reply{ok: true}
}

func (s *state) drop(r request) {
	if at := s.find(r.stream, r.lane, r.from, r.to, r.gen); at >= 0 {
		s.remove(at)
	}
}

// produce adds the results of an entry. next[0] is the beginning of the remainder.
func (m *model) produce(s *state, r request) {
	for b := range m.branches {
		s.add(entry{stream: results, lane: r.lane + uint8(b), from: r.from, to: r.next[0]})
	}
	if r.next[0] < r.to {
		m.bringBack(s, r.lane, r.next[0], r.to)
	}
}

// reclaim is reclaim.lua: the entries of one stream that a consumer holds go to the returned
// stream.
func (m *model) reclaim(s *state, r request) reply {
	for range maxEntries {
		at := s.pending(r.stream, r.who)
		if at < 0 {
			break
		}
		if m.broken == consumerDeleted {
			s.entries[at].owner = nobody
			continue
		}
		e := s.entries[at]
		s.remove(at)
		m.bringBack(s, e.lane, e.from, e.to)
	}
	return reply{ok: true}
}

func (m *model) bringBack(s *state, lane, from, to uint8) {
	e := entry{stream: returns, lane: lane, from: from, to: to}
	if m.broken == backToTheTail {
		e.stream = queue
	}
	s.add(e)
}

// consume is consume.lua. Its caller finds the marks in the state.
func (m *model) consume(s *state) reply {
	if !s.taken { // otherwise the reply was lost
		s.taken = true
		s.gepoch++
	}
	return reply{ok: true, epoch: s.gepoch}
}

// inherit is XAUTOCLAIM: all pending entries go to the gather.
func (m *model) inherit(s *state) reply {
	for i := range s.entries {
		if e := &s.entries[i]; e.stream == results && (e.owner == reader || e.owner == previous) {
			e.owner = reader
			e.seen |= 1
		}
	}
	return reply{ok: true}
}

// read is XREADGROUP of a gather, with one entry.
func (m *model) read(s *state, r request) reply {
	at := s.pending(results, unread)
	if at < 0 {
		return reply{}
	}
	s.entries[at].owner = r.who
	return reply{ok: true, entry: s.entries[at]}
}

// rescue is requeue_stray.lua on the gathered queue: it takes the entries of another consumer.
func (m *model) rescue(s *state) reply {
	for i := range s.entries {
		if e := &s.entries[i]; e.stream == results && e.owner == previous {
			e.owner = reader
		}
	}
	return reply{ok: true}
}

// ack is ack.lua: fully delivered entries are deleted, and the marks move. next is the progress of
// the gather at the time of the call.
func (m *model) ack(s *state, r request) reply {
	if r.epoch != s.gepoch && m.broken != oldGatherAcknowledges {
		return reply{}
	}
	if m.broken != acksUnnumbered && r.verb == ack && sum(r.next) < sum(s.marks) { // a later one was here
		return reply{ok: true}
	}
	if r.verb != mark {
		for at := maxEntries - 1; at >= 0; at-- {
			if m.whole(s.entries[at], r.who, r.next) {
				s.remove(at)
			}
		}
	}
	if r.verb != forget {
		for lane, next := range r.next {
			s.marks[lane] = next
			if r.who == reader {
				next = min(next, s.got[lane])
			}
			s.acked[lane] = max(s.acked[lane], next)
		}
	}
	return reply{ok: true}
}

// sum grows with every acknowledgement of a gather, like its number.
func sum(next [maxLanes]uint8) (n int) {
	for _, at := range next {
		n += int(at)
	}
	return n
}

// whole reports whether a gather has read an entry and delivered all of it.
func (m *model) whole(e entry, who uint8, next [maxLanes]uint8) bool {
	return e.stream == results && e.seen&seenBy(who) != 0 && e.to <= next[m.line(e.lane)]
}

// line returns the index under which the gather counts a lane.
func (m *model) line(lane uint8) uint8 {
	if m.broken == oneMark {
		return lane / branches * branches
	}
	return lane
}

// seenBy returns the bit of a gather in the entries that it knows.
func seenBy(who uint8) uint8 { return 1 << (who - reader) }
