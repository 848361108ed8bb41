package model

// gathers emits the steps of the gather, which may be a successor, and of a replaced gather that
// continues. A gather is replaced as soon as it dies; the time of its successor's first call is
// open.
func (m *model) gathers(s *state, out emit) {
	g := s.gather
	switch g.mode {
	case starting:
		m.takeOver(s, out)
	case heir:
		m.call(s, request{verb: inherit, who: reader}, out, func(s *state, _ reply) { s.gather.mode = live }, nothing)
	case live:
		m.gathering(s, out)
		m.audit(s, out)
		m.close(s, out)
	case closed:
		m.acknowledge(s, reader, out)
		if g.told == g.next && !m.anyWhole(s, reader, g.next) {
			silent(s, does(reader, "releases the queue"), out, func(s *state) { s.gather.mode = left })
		}
	}
	if g.mode != left {
		m.fault(s, crashes, does(reader, "dies"), out, func(s *state) { m.supersede(s, gather{}) })
	}
	if g.mode == live || g.mode == closed {
		m.fault(s, pauses, does(reader, "is taken for dead"), out, func(s *state) { m.supersede(s, g) })
	}
	if s.ghost.mode != absent { // later items that it hands to its program are not checked
		m.reads(s, previous, out, nothing)
		m.acknowledge(s, previous, out)
	}
}

func (s *state) gatherOf(who uint8) *gather {
	if who == reader {
		return &s.gather
	}
	return &s.ghost
}

// gathering emits the steps that read, hand on and acknowledge.
func (m *model) gathering(s *state, out emit) {
	if s.gather.ask && m.broken != replyOfReadNotAsked {
		silent(s, does(reader, "looks at what it holds"), out, func(s *state) { s.held() })
	} else {
		m.reads(s, reader, out, func(s *state) { s.gather.ask = true })
	}
	m.pass(s, out)
	m.acknowledge(s, reader, out)
}

func (m *model) reads(s *state, who uint8, out emit, lost func(*state)) {
	m.call(s, request{verb: read, who: who}, out, func(s *state, got reply) {
		if got.ok && who == reader {
			s.receive(got.entry)
		}
	}, lost)
}

// receive puts an entry into the memory of the gather.
func (s *state) receive(e entry) {
	s.entries[s.find(e.stream, e.lane, e.from, e.to, e.gen)].seen |= seenBy(reader)
	if e.from == e.to {
		s.gather.ends |= 1 << (e.lane / branches)
	}
}

// held puts all entries pending with the gather into its memory.
func (s *state) held() {
	s.gather.ask = false
	for _, e := range s.entries {
		if e.stream == results && e.owner == reader {
			s.receive(e)
		}
	}
}

// pass hands on the next item of a lane.
func (m *model) pass(s *state, out emit) {
	for _, e := range s.entries {
		next := s.gather.next[m.line(e.lane)]
		if e.stream != results || e.seen&seenBy(reader) == 0 || e.to <= next || m.broken != asTheyCome && e.from > next {
			continue
		}
		from := max(next, e.from)
		t := step{what: "hands on", request: request{who: reader, lane: e.lane, from: from, to: from + 1}}
		silent(s, t, out, func(s *state) {
			s.handed(e.lane, from)
			s.gather.next[m.line(e.lane)] = from + 1
		})
		if m.broken == asTheyCome {
			return
		}
	}
}

// handed records an item that the program gets.
func (s *state) handed(lane, offset uint8) {
	src := s.sources[lane/branches]
	switch {
	case offset > s.got[lane]:
		s.wrong = skipped
	case offset < s.got[lane]:
		s.wrong = twice
	case src.ended && offset >= src.end:
		s.wrong = behindTheEnd
	}
	s.got[lane] = max(s.got[lane], offset+1)
}

// acknowledge writes the progress, if there is any.
func (m *model) acknowledge(s *state, who uint8, out emit) {
	g := *s.gatherOf(who)
	switch m.broken {
	case marksFirst:
		m.acks(s, mark, who, m.ahead(s), out)
		m.acks(s, forget, who, g.next, out)
	case markFollows:
		m.acks(s, mark, who, g.next, out)
		m.acks(s, forget, who, g.next, out)
	case deletionFollows:
		if m.acks(s, mark, who, g.next, out); g.next == g.told {
			m.acks(s, forget, who, g.next, out)
		}
	default:
		m.acks(s, ack, who, g.next, out)
	}
}

func (m *model) acks(s *state, verb, who uint8, next [maxLanes]uint8, out emit) {
	g := *s.gatherOf(who)
	moves, deletes := next != g.told, m.anyWhole(s, who, next)
	if (!moves || verb == forget) && (!deletes || verb == mark) {
		return
	}
	m.call(s, request{verb: verb, who: who, epoch: g.epoch, next: next}, out, func(s *state, got reply) {
		switch {
		case !got.ok: // fenced: it ends with an error
			*s.gatherOf(who) = gather{}
		case verb != forget:
			s.gatherOf(who).told = next
		}
	}, nothing)
}

func (m *model) anyWhole(s *state, who uint8, next [maxLanes]uint8) bool {
	for _, e := range s.entries {
		if m.whole(e, who, next) {
			return true
		}
	}
	return false
}

// ahead returns the progress of the gather once all items in its memory are handed on.
func (m *model) ahead(s *state) [maxLanes]uint8 {
	next := s.gather.next
	for _, e := range s.entries {
		if e.stream == results && e.seen&seenBy(reader) != 0 && e.from <= next[e.lane] {
			next[e.lane] = max(next[e.lane], e.to)
		}
	}
	return next
}

// audit requeues entries of the gathered queue that the gather misses: those of another consumer,
// or its own after a lost reply.
func (m *model) audit(s *state, out emit) {
	if m.broken == noAudit {
		return
	}
	for _, e := range s.entries {
		if e.stream == results && e.owner == reader && e.seen&seenBy(reader) == 0 {
			silent(s, does(reader, "finds with itself what it misses"), out, func(s *state) { s.gather.ask = true })
		}
	}
	if s.pending(results, previous) >= 0 {
		ask := func(s *state) { s.gather.ask = true }
		m.call(s, request{verb: rescue, who: reader}, out, func(s *state, _ reply) { ask(s) }, ask)
	}
}

// close closes the channel when all sources have ended and all items were handed on.
func (m *model) close(s *state, out emit) {
	for i := range m.plans {
		src, from := s.sources[i], i*branches
		if m.broken == endAmongItems {
			if s.gather.ends&(1<<i) == 0 {
				return
			}
			continue
		}
		for lane := from; lane < from+m.branches; lane++ {
			if !src.ended || s.gather.next[m.line(uint8(lane))] < src.end && m.broken != endsWithSources {
				return
			}
		}
	}
	silent(s, does(reader, "closes the channel"), out, func(s *state) {
		s.gather.mode = closed
		for i := range m.plans {
			for lane := i * branches; lane < i*branches+m.branches; lane++ {
				if s.got[lane] < s.sources[i].end || !s.sources[i].ended {
					s.wrong = cutShort
				}
			}
		}
	})
}

// takeOver makes a successor the consumer of the queue.
func (m *model) takeOver(s *state, out emit) {
	m.call(s, request{verb: consume, who: reader}, out, func(s *state, got reply) {
		s.gather = gather{mode: heir, epoch: got.epoch, next: s.marks, told: s.marks}
		if m.broken == marksNotRead {
			s.gather.next = [maxLanes]uint8{}
		}
		s.got = s.acked // the other items may have been handed to a program that has ended
	}, nothing)
}

// supersede replaces a gather that is dead, or seems dead and continues as the ghost. The ghost
// keeps the state that it can acknowledge. There is one ghost: of two, the older one makes no
// further steps.
func (m *model) supersede(s *state, ghost gather) {
	goesOn, acks := ghost.mode != absent, ghost.next != ghost.told
	s.gather, s.taken = gather{mode: starting}, false
	for i := range s.entries {
		e := &s.entries[i]
		if e.owner == reader {
			e.owner = previous
		}
		whole := goesOn && m.whole(*e, reader, ghost.next)
		acks = acks || whole
		if goesOn {
			e.seen = 0
		}
		if e.seen &= seenBy(previous); whole {
			e.seen = seenBy(previous)
		}
	}
	if s.late.who == reader {
		s.late.who = previous
	}
	if !goesOn {
		return
	}
	s.ghost = gather{mode: live}
	if acks {
		s.ghost = gather{mode: live, epoch: ghost.epoch, next: ghost.next, told: ghost.told}
	}
}
