package model

import "fmt"

// A model is a flow with its possible faults and the broken rule.
type model struct {
	plans    []plan
	branches int
	faults   uint8 // largest number of faults in a run
	kinds    kind  // kinds of these faults
	broken   rule
	vain     bool    // functions may run in vain, even without a fault
	late     verbSet // requests that may be delayed
}

// A plan lists the batches of a source.
type plan struct {
	batches []uint8 // offset at which each one ends
	named   bool    // the source is durable: its producer has a successor
}

func (p plan) end() uint8 { return p.batches[len(p.batches)-1] }

// batch returns the end of the batch that begins at from. A producer that continues inside a batch
// cuts it.
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
	pauses                   // a process is declared dead and continues
	losses                   // a script runs and its reply is lost
	delays                   // a request is abandoned and repeated, and runs at any later time

	all = crashes | pauses | losses
)

// A step is an action of a process, or a fault.
type step struct {
	what string // "": the step is a request
	request
	how string // the fault of the request
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

// name returns the process of the step.
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

// A verbSet has one bit for each verb.
type verbSet uint16

type emit func(step, state)

// start returns a flow whose sources and gather have begun and whose queue is sealed.
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

// next emits all steps of a state.
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

// call emits a request. learn handles the reply, and lost handles a missing reply. The caller then
// repeats the request, since its state is unchanged.
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

// fault emits a fault of a process.
func (m *model) fault(s *state, k kind, t step, out emit, happens func(*state)) {
	if m.may(s, k) {
		n := *s
		happens(&n)
		n.faults++
		out(t, n)
	}
}

// silent emits a step without a request.
func silent(s *state, t step, out emit, happens func(*state)) {
	n := *s
	happens(&n)
	if n != *s {
		out(t, n)
	}
}

func does(who uint8, what string) step { return step{what: what, request: request{who: who}} }

func nothing(*state) {}
