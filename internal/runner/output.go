package runner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// maxMixed is how many runs of items to retry a Result may have: each becomes an entry of its own.
const maxMixed = 32

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
func (out *output[Out]) begin(c *Call) {
	b := &c.Batch
	out.clear()
	out.size, out.again, out.mixed, out.pause, out.failed = 0, nil, 0, 0, 0
	if out.faithful() {
		out.values = slices.Grow(out.values, min(b.N, keep))
		return
	}
	item := cmp.Or(out.item, len(b.Frame)/b.N+1)
	out.open = batch.Builder{}
	out.open.Use(c.Memory.Get(min(item, batch.MaxBytes/b.N+1)*b.N + 64))
}

func (out *output[Out]) value(v Out, c *Call) {
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
		out.miss(out.unencodable(err), c.Attempt, c)
		return
	}
	out.miss(tooLarge(size), c.Attempt, c)
}

func (out *output[Out]) keep(v Out, c *Call) {
	size := out.codec.Size(v)
	if size > batch.MaxItem {
		out.miss(tooLarge(size), c.Attempt, c)
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
func (out *output[Out]) missed(m *attemptError, c *Call) {
	if m.permanent || c.Attempt > c.Retries || m.code == batch.CodeEncode {
		out.miss(m, c.Attempt, c)
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

func (out *output[Out]) miss(m *attemptError, tries int, c *Call) {
	out.failed++
	out.pass(batch.Failure{
		Code: m.code, Message: m.text, Stage: c.Stage, Function: out.name, Worker: c.Worker, Attempts: tries, Stack: m.stack,
	}.Append(nil))
}

func (out *output[Out]) hole(h hole, c *Call) {
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
func (out *output[Out]) lost(b batch.Batch) Result {
	if err := b.Check(); err != nil {
		return Result{Err: err}
	}
	var frame batch.Builder
	failed := b.Lost.Append(nil)
	for frame.Len() < b.N && frame.Size() < batch.MaxBytes {
		frame.EndFailure(append(frame.Begin(), failed...))
	}
	return Result{N: frame.Len(), Frame: frame.Take()}
}

// full reports whether what comes next should be left to others: the results are many
// bytes or would become many parts.
func (out *output[Out]) full() bool {
	return max(out.size, out.open.Size()) >= batch.MaxBytes || out.mixed >= maxMixed
}

// result takes the items, which may be held. A frame that needs far less memory
// than it got is copied.
func (out *output[Out]) result(spent time.Duration, c *Call) Result {
	r := Result{N: out.len(), Again: out.again, Pause: out.pause, Failed: out.failed, Spent: spent}
	switch {
	case r.N == 0:
		return r
	case out.faithful() && c.Hold:
		r.Held = &out.column
		return r
	case out.faithful():
		r.Frame = out.Encode(0, c.Memory)
		return r
	}
	frame := out.open.Take()
	out.item = len(frame)/r.N + 1
	if cap(frame) > 2*len(frame)+1024 {
		much := frame
		frame = slices.Clone(much)
		c.Memory.Put(much)
	}
	r.Frame = frame
	return r
}
