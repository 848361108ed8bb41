package model

// work emits the steps of a worker, and of the processes that find it dead.
func (m *model) work(s *state, i int, out emit) {
	w, who := s.workers[i], uint8(first+i)
	m.serves(s, i, out)
	m.strikes(s, i, out)
	if w.mode == zombie {
		silent(s, does(who, "learns that it was fenced, and goes on under another name"), out, func(s *state) { s.renew(i) })
	}
	if w.mode == zombie || m.broken == livingReclaimed {
		m.bury(s, who, out)
	}
	if i == 0 && m.broken != notReclaimed {
		m.bury(s, former, out)
	}
}

// serves emits the calls of a worker.
func (m *model) serves(s *state, i int, out emit) {
	w, who := s.workers[i], uint8(first+i)
	switch {
	case w.half:
		r := w.completion(who, w.to)
		if r.verb = add; m.broken == addsFirst {
			r.verb = drop
		}
		m.call(s, r, out, func(s *state, _ reply) { s.workers[i].done() }, nothing)
	case w.has:
		for to := w.from + 1; to < w.to; to++ { // a batch that takes too long is split
			m.completes(s, i, w.completion(who, to), out)
		}
		m.completes(s, i, w.completion(who, w.to), out)
	case w.ask && m.broken != notAsked:
		silent(s, does(who, "looks at what it holds"), out, func(s *state) { s.ask(i) })
	default:
		if m.late&(1<<take) != 0 && m.broken != notAskedAgain {
			silent(s, does(who, "looks once more"), out, func(s *state) { s.ask(i) })
		}
		stream := uint8(returns)
		if s.pending(returns, unread) < 0 {
			stream = queue
		}
		m.call(s, request{verb: take, who: who, stream: stream}, out, func(s *state, got reply) {
			if got.ok {
				s.workers[i].hold(got.entry)
			}
		}, func(s *state) { s.workers[i].ask = true })
	}
}

func (m *model) completes(s *state, i int, r request, out emit) {
	m.call(s, r, out, func(s *state, got reply) {
		if m.broken == deletesFirst || m.broken == addsFirst {
			s.workers[i].half = true
			return
		}
		if s.workers[i].done(); !got.ok && s.faults == 0 && !m.vain {
			s.wrong = inVain
		}
	}, nothing)
}

// strikes emits the faults of a worker.
func (m *model) strikes(s *state, i int, out emit) {
	w, who := s.workers[i], uint8(first+i)
	if w.mode == live {
		m.fault(s, pauses, does(who, "stands still for a lease, and is fenced"), out, func(s *state) { s.workers[i].mode = zombie })
	}
	// Fenced and replaced at once: the consequences may happen at any time.
	m.fault(s, crashes, does(who, "dies, another one starts in its place"), out, func(s *state) { s.renew(i) })
}

// bury requeues the entries of a consumer, one stream after the other.
func (m *model) bury(s *state, who uint8, out emit) {
	for _, stream := range []uint8{queue, returns} {
		if s.pending(stream, who) >= 0 {
			r := request{verb: reclaim, who: who, stream: stream}
			n := *s
			m.serve(&n, r)
			out(step{request: r}, n)
		}
	}
}

// renew starts a worker without entries, under a new name.
func (s *state) renew(i int) {
	who := uint8(first + i)
	for k := range s.entries {
		if s.entries[k].owner == who {
			s.entries[k].owner = former
		}
	}
	if s.late.who == who {
		s.late.who = former
	}
	s.workers[i] = worker{mode: live}
}

// ask takes the entries of a lost reply.
func (s *state) ask(i int) {
	w := &s.workers[i]
	w.ask = false
	for _, e := range s.entries {
		if e.owner != uint8(first+i) {
			continue
		}
		if w.has {
			w.ask = true // there is more
			return
		}
		w.hold(e)
	}
}

func (w *worker) hold(e entry) {
	w.has, w.stream, w.lane, w.from, w.to, w.gen = true, e.stream, e.lane, e.from, e.to, e.gen
}

// done removes its entry.
func (w *worker) done() { *w = worker{mode: w.mode, ask: w.ask} }

// completion returns the request that replaces the entry by results up to to.
func (w worker) completion(who, to uint8) request {
	r := request{verb: complete, who: who, stream: w.stream, lane: w.lane, from: w.from, to: w.to, gen: w.gen}
	r.next[0] = to
	return r
}
