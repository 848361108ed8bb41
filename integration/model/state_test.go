// Package model is the protocol as a small machine, and a search through all
// that it can do: every order of the steps of all processes, with every fault at
// every place. It has no Redis, no goroutine and no clock. What it stands for is
// said where each part is: the scripts in scripts_test.go, the processes in
// producer_test.go, worker_test.go and gather_test.go.
package model

// Streams of a flow of one stage: what it reads, what comes back, what it makes.
const (
	nowhere = iota
	queue
	returns
	results
)

// Who an entry is pending with.
const (
	unread   = iota // nobody has read it
	first           // a worker; the next one is the other
	second          //
	former          // a consumer name that its worker has given up
	reader          // the gather
	previous        // the gather before it
	nobody          // it was read, and its consumer is deleted
)

const (
	maxSources = 2
	maxLanes   = 4 // a source has one for each branch
	maxEntries = 6
	workers    = 2
	branches   = 2 // lanes of a source, whether they are used or not
)

// An entry is the items [from, to) of a source in a stream. Ids are small: gen
// tells apart what has the same items.
type entry struct {
	stream, lane, from, to, gen uint8
	owner                       uint8
	seen                        uint8 // bits: the gather has it in memory; the one before
}

// A source is its hash.
type source struct {
	epoch, stored, end uint8
	ended, away        bool
}

// Modes of a process.
const (
	absent   = iota
	starting // its first call has no reply yet
	live
	zombie // a worker that was fenced, and goes on
	heir   // a gather that has yet to take over what its predecessor held
	closed // a gather whose channel is closed; the last acknowledgements are under way
	left   // it has ended as it should
)

type producer struct{ mode, epoch, sent uint8 }

// A worker holds at most one entry.
type worker struct {
	mode                        uint8
	has, half                   bool // half: of a completion in two steps the first is done
	ask                         bool // a reply was lost: look at what is held
	stream, lane, from, to, gen uint8
}

type gather struct {
	mode, epoch uint8
	ask         bool
	next        [maxLanes]uint8 // handed on to there
	told        [maxLanes]uint8 // and that is what it has acknowledged
	ends        uint8           // bits: sources whose end came among the items
}

// A request is a call of a script with its arguments.
type request struct {
	verb, who, stream, lane, from, to, gen, epoch uint8
	next                                          [maxLanes]uint8
}

// A state is all that Redis and the processes know, and what the programs at
// the rim have seen. It is compared as a whole.
type state struct {
	entries [maxEntries]entry // by stream; in a stream by id
	sources [maxSources]source
	group   bool            // of the queue
	gepoch  uint8           // of the gathers
	taken   bool            // the queue's consumer is the gather
	marks   [maxLanes]uint8 // what was delivered, as Redis has it

	producers [maxSources]producer
	ghosts    [maxSources]producer // who was taken over from and goes on
	workers   [workers]worker
	gather    gather
	ghost     gather
	late      request // on its way, and its caller does not wait for it any more

	got    [maxLanes]uint8 // handed to the program of this gather, or acknowledged before it
	acked  [maxLanes]uint8 // handed to a program and acknowledged
	faults uint8
	wrong  uint8 // what a step broke
}

// find is the place of the entry that a worker or a request means, -1 where it
// is gone.
func (s *state) find(stream, lane, from, to, gen uint8) int {
	for i, e := range s.entries {
		if e.stream == stream && e.lane == lane && e.from == from && e.to == to && e.gen == gen {
			return i
		}
	}
	return -1
}

// pending is the first entry of a stream with that owner.
func (s *state) pending(stream, owner uint8) int {
	for i, e := range s.entries {
		if e.stream == stream && e.owner == owner {
			return i
		}
	}
	return -1
}

// add puts an entry at the end of a stream, under an id that nobody knows.
func (s *state) add(e entry) {
	if s.entries[maxEntries-1].stream != nowhere {
		s.wrong = crowded
		return
	}
	for s.known(e) {
		e.gen++
	}
	at := maxEntries - 1
	for at > 0 && (s.entries[at-1].stream == nowhere || s.entries[at-1].stream > e.stream) {
		s.entries[at] = s.entries[at-1]
		at--
	}
	s.entries[at] = e
}

func (s *state) known(e entry) bool {
	for _, w := range s.workers {
		if w.has && w.stream == e.stream && w.lane == e.lane && w.from == e.from && w.to == e.to && w.gen == e.gen {
			return true
		}
	}
	l := s.late
	return s.find(e.stream, e.lane, e.from, e.to, e.gen) >= 0 ||
		l.verb == complete && l.stream == e.stream && l.lane == e.lane && l.from == e.from && l.to == e.to && l.gen == e.gen
}

func (s *state) remove(at int) {
	copy(s.entries[at:], s.entries[at+1:])
	s.entries[maxEntries-1] = entry{}
}

// canonical is the same state with the workers in an order of their own: which
// of them is called the first makes no difference.
func (s state) canonical() state {
	if a, b := s.workers[0].rank(), s.workers[1].rank(); a < b || a == b && s.leads() != second {
		return s
	}
	s.workers[0], s.workers[1] = s.workers[1], s.workers[0]
	for i := range s.entries {
		if owner := s.entries[i].owner; owner == first || owner == second {
			s.entries[i].owner = first + second - owner
		}
	}
	if s.late.who == first || s.late.who == second {
		s.late.who = first + second - s.late.who
	}
	return s
}

// leads is the worker that is named first in what Redis holds.
func (s *state) leads() uint8 {
	for _, e := range s.entries {
		if e.owner == first || e.owner == second {
			return e.owner
		}
	}
	return s.late.who
}

func (w worker) rank() uint64 {
	n := uint64(w.mode)
	for _, b := range []bool{w.has, w.half, w.ask} {
		n <<= 1
		if b {
			n++
		}
	}
	for _, b := range []uint8{w.stream, w.lane, w.from, w.to, w.gen} {
		n = n<<8 | uint64(b)
	}
	return n
}
