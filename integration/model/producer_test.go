package model

// source emits the steps of the producer of a source, of its successor, and of a producer that was
// declared dead and continues. The source of a dead producer is abandoned in the same step, since
// it has no effect until then.
func (m *model) source(s *state, i int, out emit) {
	p, lane := s.producers[i], uint8(i*branches)
	switch p.mode {
	case live:
		m.produces(s, lane, out, func(s *state) *producer { return &s.producers[i] })
	case starting:
		m.succeed(s, i, out)
	}
	if p.mode == live || p.mode == starting {
		m.fault(s, crashes, step{what: "dies", request: request{lane: lane}}, out, func(s *state) { m.bereave(s, i, producer{}) })
	}
	if p.mode == live {
		m.fault(s, pauses, step{what: "is taken for dead, and goes on", request: request{lane: lane}}, out, func(s *state) { m.bereave(s, i, p) })
	}
	if s.ghosts[i].mode == live {
		m.produces(s, lane, out, func(s *state) *producer { return &s.ghosts[i] })
	}
}

// bereave abandons the source of a producer that is dead, or seems dead and continues as the ghost.
// A durable source gets a successor. There is one ghost of a source: of two, the older one makes no
// further steps.
func (m *model) bereave(s *state, i int, ghost producer) {
	s.producers[i] = producer{}
	if ghost.mode != absent {
		s.ghosts[i] = ghost
	}
	if src := &s.sources[i]; !src.ended && !src.away {
		m.orphan(s, i)
	}
	if !s.sources[i].ended {
		s.producers[i].mode = starting
	}
}

// produces emits the calls of a producer that has its source, or believes so.
func (m *model) produces(s *state, lane uint8, out emit, self func(*state) *producer) {
	p, plan := *self(s), m.plans[lane/branches]
	learn := func(to, mode uint8) func(*state, reply) {
		return func(s *state, got reply) {
			p := self(s)
			if p.sent, p.mode = to, mode; mode == left || !got.ok { // it has ended, or was fenced and ends with an error
				*p = producer{}
			}
			if i := lane / branches; !got.ok && p == &s.producers[i] {
				m.bereave(s, int(i), producer{})
			}
		}
	}
	to := plan.batch(p.sent)
	if p.sent < to {
		m.call(s, request{verb: scatter, lane: lane, from: p.sent, to: to, epoch: p.epoch}, out, learn(to, live), nothing)
	}
	if end := plan.end(); p.sent == end {
		m.call(s, request{verb: finish, lane: lane, from: end, to: end, epoch: p.epoch}, out, learn(end, left), nothing)
	} else if m.broken == endsEarly {
		m.call(s, request{verb: finish, lane: lane, from: end, to: end, epoch: p.epoch}, out, learn(p.sent, live), nothing)
	}
}

// succeed makes the source for a successor, which continues at the stored offset.
func (m *model) succeed(s *state, i int, out emit) {
	m.call(s, request{verb: begin, lane: uint8(i * branches)}, out, func(s *state, got reply) {
		if s.producers[i] = (producer{}); got.ok {
			s.producers[i] = producer{mode: live, epoch: got.epoch, sent: got.stored}
		}
	}, nothing)
}
