package workers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A runner runs a function on one batch after the other, for one goroutine at
// a time.
type runner interface {
	run(ctx context.Context, c call) result
	// release lets go of what belongs to the last batch, results that are held
	// among it.
	release()
}

// A call is a batch to be run and how. When its context has ended, it is left
// off after the item at hand, and where that fails, before it.
type call struct {
	batch       batch.Batch
	held        held                                // what another runner has made and holds, in the place of the batch's frame
	hold        bool                                // what comes out may be held
	worker      string                              // as failures name it
	stage       string                              // as failures name it
	timeout     time.Duration                       // of one item, 0 for none
	tries       int                                 // the number of this attempt
	retries     int                                 // attempts that may follow the first
	memory      *batch.Memory                       // that frames are made in
	now         *runningCall                        // what is known of the call; may be nil
	single      bool                                // each item has a context of its own, as a future can be canceled
	shouldYield func() bool                         // asked after each item that was run: leave off here? May be nil
	unavailable func(i int, why string) (back bool) // decides about an item for which the function is unavailable; may be nil
	stuck       func() (returned func())            // notes that the function is left behind; may be nil
	left        *atomic.Int64                       // calls of the function that were left behind; may be nil
	caller      *caller                             // that calls the function; nil: the slot does
	exposed     bool                                // a function that ends its goroutine ends that of the caller
}

// A result has the outputs of a batch for the items of [First, First+n). It is
// left off, so that n < N, where the call says so and, unless the function takes
// whole batches, where the output has reached batch.MaxBytes.
type result struct {
	frame  []byte // nobody else's; nil where the results are held
	held   held   // until the runner is released; nil where there is a frame
	n      int
	again  []int         // of the n, those to be tried again, by their index; something stands in their place
	pause  time.Duration // until these are tried, at least
	failed int           // of the n, those that failed here for good
	spent  time.Duration
	err    error // the batch is malformed, nothing was done
}

// An input is the items of a batch, decoded.
type input[In any] struct {
	column[In]
	batch   batch.Batch
	next    int // holes before it have been passed
	decoded bool
	lent    bool  // the values are another runner's
	err     error // the batch is malformed
}

// begin tells whether there can be such a batch.
func (in *input[In]) begin(c *call) error {
	in.release()
	return c.batch.CheckRange()
}

// decode takes the items of a batch. It is called once, and may crash where the
// codec is the user's.
func (in *input[In]) decode(c *call) {
	if made, ok := c.held.(*column[In]); ok {
		in.release()
		in.values, in.holes, in.decoded, in.lent = made.values, made.holes, true, true
		return
	}
	in.batch = c.batch
	b := &in.batch
	if c.held != nil {
		b.Frame = c.held.frame(0, nil)
	}
	if b.N > len(b.Frame) { // each item has a header
		in.err = b.Check()
		return
	}
	r := batch.Read(b.Frame)
	values := in.values
	in.values = nil // half full after a Goexit
	values, err := in.codec.Decode(&r, b.N, values, func(i int, failed []byte, err error) {
		h := hole{place: i, failed: failed}
		if err != nil {
			h.miss = in.undecodable(err)
		}
		in.holes = append(in.holes, h)
	})
	if err != nil || len(r.Rest()) > 0 {
		in.err = b.Check()
	}
	in.values, in.decoded = values, true
}

func (in *input[In]) undecodable(err error) *attemptError {
	text, stack := batch.Describe(err)
	return &attemptError{code: batch.CodeDecode, stack: stack, text: fmt.Sprintf("the item is not %s, which the function takes: "+
		"look at what the stage or the program before it writes: %s", in.codec.Info(), text)}
}

// spoil makes holes of all items, after code of the user's has ended the
// goroutine that decoded them.
func (in *input[In]) spoil(why *attemptError) {
	why.code = batch.CodeDecode
	b := in.batch
	in.values, in.holes = make([]In, b.N), in.holes[:0]
	r := batch.Read(b.Frame)
	for i := range b.N {
		h := hole{place: i, miss: why}
		if item, failed, _ := r.Next(); failed {
			h.failed = item
		}
		in.holes = append(in.holes, h)
	}
	in.err, in.decoded = b.Check(), true
}

// hole returns the hole at place i. The places asked for only grow.
func (in *input[In]) hole(i int) (h hole, ok bool) {
	if in.upTo(i) > i {
		return hole{}, false
	}
	return in.holes[in.next], true
}

// upTo is the place of the first hole from i on, or the end.
func (in *input[In]) upTo(i int) int {
	for in.next < len(in.holes) && in.holes[in.next].place < i {
		in.next++
	}
	if in.next == len(in.holes) {
		return len(in.values)
	}
	return in.holes[in.next].place
}

// release lets go of what belongs to the batch.
func (in *input[In]) release() {
	if in.lent {
		in.values, in.holes = nil, nil
	}
	in.clear()
	in.batch, in.next, in.decoded, in.lent, in.err = batch.Batch{}, 0, false, false, nil
}

// An output collects the items of a result: as a column where they may be values,
// else in a frame. Its length is the place of the next item.
type output[Out any] struct {
	column[Out]
	name   string // of the function
	open   batch.Builder
	size   int // about that of the values in the column
	again  []int
	mixed  int           // runs of such items
	pause  time.Duration // the longest that one of them asks for
	failed int
}

// faithful reports whether the items are collected as values.
func (out *output[Out]) faithful() bool { return out.codec.Faithful() }

func (out *output[Out]) len() int {
	if out.faithful() {
		return len(out.values)
	}
	return out.open.Len()
}

// begin makes room for the items of a batch.
func (out *output[Out]) begin(c *call) {
	b := &c.batch
	out.clear()
	out.size, out.again, out.mixed, out.pause, out.failed = 0, nil, 0, 0, 0
	if out.faithful() {
		out.values = slices.Grow(out.values, min(b.N, keep))
		return
	}
	item := cmp.Or(out.item, len(b.Frame)/b.N+1)
	out.open = batch.Builder{}
	out.open.Use(c.memory.Get(min(item, batch.MaxBytes/b.N+1)*b.N + 64))
}

func (out *output[Out]) value(v Out, c *call) {
	if out.faithful() {
		out.keep(v, c)
		return
	}
	if out.codec.Sized() && out.codec.Size(v) <= batch.MaxItem {
		out.values = append(out.values[:0], v)
		out.codec.Fill(&out.open, out.values) // its header need not make way afterwards
		out.values[0] = *new(Out)
		return
	}
	buf := out.open.Begin()
	before := len(buf)
	buf, err := out.codec.Append(buf, v)
	size := len(buf) - before
	if err == nil && size <= batch.MaxItem {
		out.open.End(buf)
		return
	}
	out.open.Abort(buf)
	if err != nil {
		out.miss(out.unencodable(err), c.tries, c)
		return
	}
	out.miss(tooLarge(size), c.tries, c)
}

func (out *output[Out]) keep(v Out, c *call) {
	size := out.codec.Size(v)
	if size > batch.MaxItem {
		out.miss(tooLarge(size), c.tries, c)
		return
	}
	out.size += size
	out.values = append(out.values, v)
}

func tooLarge(size int) *attemptError {
	return &attemptError{code: batch.CodeTooLarge, text: fmt.Sprintf("the result has %d bytes, which is above the bound of %d MiB: "+
		"return it in parts, or store it and return where", size, batch.MaxItem>>20)}
}

func (out *output[Out]) unencodable(why error) *attemptError {
	text, stack := batch.Describe(why)
	return &attemptError{code: batch.CodeEncode, stack: stack, text: fmt.Sprintf("the result cannot be encoded as %s: "+
		"return what the codec can hold, or define the function with another: %s", out.codec.Info(), text)}
}

// missed writes a failure, or leaves the place to another attempt.
func (out *output[Out]) missed(m *attemptError, c *call) {
	if m.permanent || c.tries > c.retries || m.code == batch.CodeEncode {
		out.miss(m, c.tries, c)
		return
	}
	if n := len(out.again); n == 0 || out.again[n-1] < out.len()-1 {
		out.mixed++
	}
	out.again, out.pause = append(out.again, out.len()), max(out.pause, m.pause)
	if out.faithful() {
		var none Out
		out.values = append(out.values, none)
		return
	}
	out.open.Value(nil)
}

func (out *output[Out]) miss(m *attemptError, tries int, c *call) {
	out.failed++
	out.pass(batch.Failure{
		Code: m.code, Message: m.text, Stage: c.stage, Function: out.name, Worker: c.worker, Attempts: tries, Stack: m.stack,
	}.Append(nil))
}

func (out *output[Out]) hole(h hole, c *call) {
	if h.failed == nil {
		out.miss(h.miss, 0, c)
		return
	}
	out.pass(h.failed)
}

// pass puts a failure in the next place.
func (out *output[Out]) pass(failed []byte) {
	if !out.faithful() {
		out.open.EndFailure(append(out.open.Begin(), failed...))
		return
	}
	var none Out
	out.holes = append(out.holes, hole{place: len(out.values), failed: failed})
	out.values = append(out.values, none)
	out.size += len(failed)
}

// lost returns the result of a batch that is one failure.
func (out *output[Out]) lost(b batch.Batch) result {
	if err := b.Check(); err != nil {
		return result{err: err}
	}
	var frame batch.Builder
	failed := b.Lost.Append(nil)
	for frame.Len() < b.N && frame.Size() < batch.MaxBytes {
		frame.EndFailure(append(frame.Begin(), failed...))
	}
	return result{n: frame.Len(), frame: frame.Take()}
}

// full reports whether what comes next should be left to others: the results are many
// bytes or would become many parts.
func (out *output[Out]) full() bool {
	return max(out.size, out.open.Size()) >= batch.MaxBytes || out.mixed >= maxMixed
}

// result takes the items, which may be held. A frame that needs far less memory
// than it got is copied.
func (out *output[Out]) result(spent time.Duration, c *call) result {
	r := result{n: out.len(), again: out.again, pause: out.pause, failed: out.failed, spent: spent}
	switch {
	case r.n == 0:
		return r
	case out.faithful() && c.hold:
		r.held = &out.column
		return r
	case out.faithful():
		r.frame = out.frame(0, c.memory)
		return r
	}
	frame := out.open.Take()
	out.item = len(frame)/r.n + 1
	if cap(frame) > 2*len(frame)+1024 {
		much := frame
		frame = slices.Clone(much)
		c.memory.Put(much)
	}
	r.frame = frame
	return r
}
