package model

import "fmt"

// A model is a flow, what may go wrong in it, and which rule is broken.
type model struct {
	plans    []plan
	branches int
	faults   uint8 // at most so many in a run
	kinds    kind  // of these kinds
	broken   rule
	vain     bool    // functions may run for nothing, although nothing breaks
	late     verbSet // the requests that may be delayed
}

// A plan is what the producer of a source wants to send.
type plan struct {
	batches []uint8 // where each ends
	named   bool    // it has a successor when it dies
}

func (p plan) end() uint8 { return p.batches[len(p.batches)-1] }

// batch is where the batch that begins there ends. Who goes on elsewhere than
// at the beginning of a batch cuts it.
func (p plan) batch(from uint8) uint8 {
	for _, to := range p.batches {
		if to > from {
			return to
		}
	}
	return from
}

// Kinds of faults.
type kind uint8

const (
	crashes kind = 1 << iota // a process ends
	pauses                   // a process is taken for dead, and goes on
	losses                   // a script runs, its reply is lost
	delays                   // a request is given up and made again, and runs at any time later

	all = crashes | pauses | losses
)

// A step is what one process does, or what is done to it.
type step struct {
	what string // "" where it is a request
	request
	how string // what goes wrong with the request
}

func (t step) String() string {
	text := t.name() + ": " + t.what + verbs[t.verb]
	if t.verb == reclaim {
		text = "reclaim of what " + t.name() + " held"
	}
	if t.to > t.from {
		text += fmt.Sprintf(" [%d,%d) of source %d, branch %d", t.from, t.to, t.lane/branches, t.lane%branches)
	}
	return text + t.how
}

// name is who does the step, or to whom it is done.
func (t step) name() string {
	switch t.who {
	case first, second:
		return fmt.Sprintf("worker %d", t.who)
	case former:
		return "a former worker"
	case reader:
		return "gather"
	case previous:
		return "gather before it"
	}
	return fmt.Sprintf("producer %d", t.lane/branches)
}

// A verbSet has a bit for each verb.
type verbSet uint16

type emit func(step, state)

// start is a flow whose sources and gather have begun and whose queue is sealed.
func (m *model) start() state {
	var s state
	s.gepoch, s.taken, s.group = 1, true, m.broken != groupAtTheTail
	s.gather = gather{mode: live, epoch: 1}
	for i := range m.plans {
		s.sources[i].epoch = 1
		s.producers[i] = producer{mode: live, epoch: 1}
	}
	for i := range s.workers {
		s.workers[i].mode = live
	}
	return s
}

// next are all steps of a state.
func (m *model) next(s *state, out emit) {
	if s.late.verb != none {
		n := *s
		n.late = request{}
		m.serve(&n, s.late)
		out(step{request: s.late, how: ", late"}, n)
	}
	for i := range m.plans {
		m.source(s, i, out)
	}
	for i := range s.workers {
		m.work(s, i, out)
	}
	m.gathers(s, out)
}

// call makes a request. learn is what the caller does with the reply, lost what
// it does where none comes; it makes the request again because its state is as
// it was.
func (m *model) call(s *state, r request, out emit, learn func(*state, reply), lost func(*state)) {
	n := *s
	learn(&n, m.serve(&n, r))
	if n != *s {
		out(step{request: r}, n)
	}
	if m.may(s, losses) {
		n := *s
		m.serve(&n, r)
		if n != *s {
			lost(&n)
			n.faults++
			out(step{request: r, how: ", the reply is lost"}, n)
		}
	}
	if m.may(s, delays) && s.late.verb == none && m.late&(1<<r.verb) != 0 {
		n := *s
		lost(&n)
		n.faults++
		n.late = r
		out(step{request: r, how: ", does not arrive yet"}, n)
	}
}

func (m *model) may(s *state, k kind) bool { return m.kinds&k != 0 && s.faults < m.faults }

// fault is something that happens to a process.
func (m *model) fault(s *state, k kind, t step, out emit, happens func(*state)) {
	if m.may(s, k) {
		n := *s
		happens(&n)
		n.faults++
		out(t, n)
	}
}

// silent is a step that is no request.
func silent(s *state, t step, out emit, happens func(*state)) {
	n := *s
	happens(&n)
	if n != *s {
		out(t, n)
	}
}

func does(who uint8, what string) step { return step{what: what, request: request{who: who}} }

func nothing(*state) {}
