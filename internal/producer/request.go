package producer

import (
	"github.com/dqbridge/dqbridge/internal/batch"
)

// maxSpare is the largest frame that a request keeps for its next use.
const maxSpare = 64 << 10

// Stored is the number of stored and of dropped items of a request.
type Stored struct{ Items, Dropped int }

func (s Stored) settled() int { return s.Items + s.Dropped }

// A Request is the items that one caller wants to store. The caller fills the Builder and gives the
// request to Group.Store. The lock of the Group guards the other fields.
type Request struct {
	batch.Builder
	Stored
	before, after *Request
	queued        bool
	abandoned     bool // its caller does not wait any more
	rest          batch.Reader
	n             int    // items
	taken         int    // items that are in a batch, or were
	trace         string // of its caller
	err           error
	done          chan struct{} // has a token when it is settled
}

// isUnderWay reports whether a batch that is not settled has items of the request.
func (r *Request) isUnderWay() bool { return r.taken > r.settled() }

// rewind makes the items that are not settled wait for a batch again.
func (r *Request) rewind() {
	r.rest, r.taken = batch.Read(r.Frame()), 0
	for r.taken < r.settled() {
		r.rest.Next()
		r.taken++
	}
}

// reset empties the request. It reports whether the request is small enough to keep.
func (r *Request) reset() bool {
	if cap(r.Frame()) > maxSpare {
		return false
	}
	frame := r.Builder
	frame.Reset()
	*r = Request{Builder: frame, done: r.done}
	return true
}

// requests is a list of requests in the order of their arrival. All items of the requests before
// next are in batches.
type requests struct{ first, last, next *Request }

func (l *requests) push(r *Request) {
	r.n, r.rest, r.queued = r.Len(), batch.Read(r.Frame()), true
	if r.before = l.last; r.before != nil {
		r.before.after = r
	} else {
		l.first = r
	}
	l.last = r
	if l.next == nil {
		l.next = r
	}
}

func (l *requests) remove(r *Request) {
	if l.next == r {
		l.next = r.after
	}
	if r.before != nil {
		r.before.after = r.after
	} else {
		l.first = r.after
	}
	if r.after != nil {
		r.after.before = r.before
	} else {
		l.last = r.before
	}
	r.before, r.after, r.queued = nil, nil, false
}

// cut removes the items from a request that are not in batches.
func (l *requests) cut(r *Request) {
	r.n = r.taken
	if l.next == r {
		l.next = r.after
	}
}
