// Package model is the protocol as a small state machine, and a search through all its states:
// every order of the steps of all processes, with every fault at every place. It uses no Redis, no
// goroutines and no clock. scripts_test.go models the scripts; producer_test.go, worker_test.go and
// gather_test.go model the processes.
package model

// Streams of a flow with one stage: its input, its returned entries, its output.
const (
	nowhere = iota
	queue
	returns
	results
)

// Consumers of entries.
const (
	unread   = iota // not read
	first           // a worker; the next one is the other worker
	second          //
	former          // a consumer name that its worker has given up
	reader          // the gather
	previous        // the previous gather
	nobody          // read by a consumer that is deleted
)

const (
	maxSources = 2
	maxLanes   = 4 // a source has one for each branch
	maxEntries = 6
	workers    = 2
	branches   = 2 // lanes of a source, used or not
)

// An entry holds the items [from, to) of a source in a stream. gen distinguishes entries with the
// same items, like an id.
type entry struct {
	stream, lane, from, to, gen uint8
	owner                       uint8
	seen                        uint8 // bits: in the memory of the gather; of the previous gather
}

// A source is the hash of a source.
type source struct {
	epoch, stored, end uint8
	ended, away        bool
}

// Modes of a process.
const (
	absent   = iota
	starting // its first call has no reply yet
	live
	zombie // a worker that was fenced and continues
	heir   // a gather that has not yet inherited the entries of its predecessor
	closed // a gather whose channel is closed and whose last acknowledgements are pending
	left   // it has ended normally
)

type producer struct{ mode, epoch, sent uint8 }

// A worker holds at most one entry.
type worker struct {
	mode                        uint8
	has, half                   bool // half: the first of two steps of a completion is done
	ask                         bool // a reply was lost: read the pending entries
	stream, lane, from, to, gen uint8
}

type gather struct {
	mode, epoch uint8
	ask         bool
	next        [maxLanes]uint8 // handed on up to here
	told        [maxLanes]uint8 // acknowledged up to here
	ends        uint8           // bits: sources whose end came among the items
}

// A request is a call of a script with its arguments.
type request struct {
	verb, who, stream, lane, from, to, gen, epoch uint8
	next                                          [maxLanes]uint8
}

// A state holds all data of Redis and the processes, and all items that the programs have seen. It
// is compared as a whole.
type state struct {
	entries [maxEntries]entry // by stream; in a stream by id
	sources [maxSources]source
	group   bool            // of the queue
	gepoch  uint8           // of the gathers
	taken   bool            // the gather is the queue's consumer
	marks   [maxLanes]uint8 // delivered offsets in Redis

	producers [maxSources]producer
	ghosts    [maxSources]producer // replaced processes that continue
	workers   [workers]worker
	gather    gather
	ghost     gather
	late      request // an abandoned request that still runs

	got    [maxLanes]uint8 // handed to the program of this gather, or acknowledged before it
	acked  [maxLanes]uint8 // handed to a program and acknowledged
	faults uint8
	wrong  uint8 // the error of the last step
}

// find returns the index of the entry of a worker or a request, or -1 if it is gone.
func (s *state) find(stream, lane, from, to, gen uint8) int {
	for i, e := range s.entries {
		if e.stream == stream && e.lane == lane && e.from == from && e.to == to && e.gen == gen {
			return i
		}
	}
	return -1
}

// pending returns the index of the first entry of a stream with that owner.
func (s *state) pending(stream, owner uint8) int {
	for i, e := range s.entries {
		if e.stream == stream && e.owner == owner {
			return i
		}
	}
	return -1
}

// add appends an entry to a stream, under a new id.
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

// canonical returns the same state with the workers in canonical order, since their numbers make no
// difference.
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

// leads returns the worker that appears first in the data of Redis.
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
