package workers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// A runner runs a function on one batch after the other, for one goroutine at
// a time.
type runner interface {
	run(ctx context.Context, c call) result
}

// A call is a batch to be run and how. When its context has ended, it is left
// off after the item at hand, and where that fails, before it.
type call struct {
	batch   batch.Batch
	worker  string        // as failures name it
	stage   string        // as failures name it
	timeout time.Duration // of one item, 0 for none
	tries   int           // the number of this attempt
	retries int           // attempts that may follow the first
	flight  *flight       // where an item can be canceled, else nil
	leave   func() bool   // asked after each item that was run: leave off here? May be nil
}

// A result is what has become of a batch: the items of [First, First+n). It is
// left off, so that n < N, where the call says so and, unless the function takes
// whole batches, where the output has reached batch.MaxBytes.
type result struct {
	frame  []byte // nobody else's
	n      int
	again  []int // of the n, those to be tried again, by their index; something stands in their place
	failed int   // of the n, those that failed here for good
	spent  time.Duration
	err    error // the batch is malformed, nothing was done
}

// keep is how many items a runner has room for between batches.
const keep = 1 << 16

// An input is the items of a batch, decoded.
type input[In any] struct {
	codec   codec.Typed[In]
	items   [][]byte // nil where the item has failed already
	values  []In     // zero where there is a hole
	holes   []hole   // in order, those before next have been passed
	next    int
	decoded bool
}

// A hole is the place of an item that has no value: it failed earlier, or it
// cannot be decoded.
type hole struct {
	place  int
	failed []byte
	miss   *miss
}

// read takes the items of a batch, which is checked on the way: the error is
// that of Check.
func (in *input[In]) read(b batch.Batch) error {
	r := batch.Read(b.Frame)
	for item, failed, ok := r.Next(); ok; item, failed, ok = r.Next() {
		if failed {
			in.holes = append(in.holes, hole{place: len(in.items), failed: item})
			item = nil
		}
		in.items = append(in.items, item)
	}
	if r.Err() != nil || len(in.items) != b.N || b.First < 0 || b.End() <= b.First {
		return b.Check()
	}
	return nil
}

func (in *input[In]) decode() {
	values, holes := in.values, len(in.holes)
	in.values = nil // half full after a Goexit
	values = in.codec.Decode(in.items, values, func(i int, err error) {
		in.holes = append(in.holes, hole{place: i, miss: in.undecodable(err)})
	})
	if 0 < holes && holes < len(in.holes) {
		slices.SortFunc(in.holes, func(a, b hole) int { return cmp.Compare(a.place, b.place) })
	}
	in.values, in.decoded = values, true
}

func (in *input[In]) undecodable(err error) *miss {
	return &miss{code: batch.CodeDecode, text: fmt.Sprintf("the item is not %s, which the function takes: "+
		"look at what the stage or the program before it writes: %s", in.codec.Info(), errorText(err))}
}

// spoil makes holes of all items, after code of the user's has ended the
// goroutine that decoded them.
func (in *input[In]) spoil(why *miss) {
	why.code = batch.CodeDecode
	failed := make(map[int][]byte)
	for _, h := range in.holes {
		failed[h.place] = h.failed
	}
	in.holes = in.holes[:0]
	for i := range in.items {
		in.holes = append(in.holes, hole{i, failed[i], why})
	}
	in.decoded = true
}

// hole returns the hole at place i. The places asked for only grow.
func (in *input[In]) hole(i int) (h hole, ok bool) {
	for in.next < len(in.holes) && in.holes[in.next].place < i {
		in.next++
	}
	if in.next == len(in.holes) || in.holes[in.next].place > i {
		return hole{}, false
	}
	return in.holes[in.next], true
}

// release lets go of what belongs to the batch.
func (in *input[In]) release() {
	in.items, in.values, in.holes = emptied(in.items), emptied(in.values), emptied(in.holes)
	in.next, in.decoded = 0, false
}

// emptied returns the slice without elements, to be used again unless it is
// very large.
func emptied[E any](s []E) []E {
	if cap(s) > keep {
		return nil
	}
	clear(s)
	return s[:0]
}

// An output collects the items of a result. Its length is the place of the
// next item.
type output[Out any] struct {
	codec  codec.Typed[Out]
	name   string // of the function
	frame  batch.Builder
	again  []int
	failed int
	size   int // of an item of the last frame
}

// begin makes room for the frame of n items.
func (out *output[Out]) begin(b batch.Batch) {
	out.frame, out.again, out.failed = batch.Builder{}, nil, 0
	item := cmp.Or(out.size, len(b.Frame)/b.N+1)
	room := min(item, batch.MaxBytes/b.N+1)*b.N + 64
	out.frame.Abort(slices.Grow(out.frame.Begin(), room))
}

func (out *output[Out]) value(v Out, c *call) {
	buf := out.frame.Begin()
	before := len(buf)
	buf, err := out.codec.Append(buf, v)
	size := len(buf) - before
	if err == nil && size <= batch.MaxItem {
		out.frame.End(buf)
		return
	}
	out.frame.Abort(buf)
	if err != nil {
		out.miss(out.unencodable(errorText(err)), c.tries, c)
		return
	}
	out.miss(&miss{code: batch.CodeTooLarge, text: fmt.Sprintf("the result has %d bytes, which is above the bound of %d MiB: "+
		"return it in parts, or store it and return where", size, batch.MaxItem>>20)}, c.tries, c)
}

func (out *output[Out]) unencodable(why string) *miss {
	return &miss{code: batch.CodeEncode, text: fmt.Sprintf("the result cannot be encoded as %s: "+
		"return what the codec can hold, or define the function with another: %s", out.codec.Info(), why)}
}

// missed writes a failure, or leaves the place to another attempt.
func (out *output[Out]) missed(m *miss, c *call) {
	if m.permanent || c.tries > c.retries || m.code == batch.CodeEncode {
		out.miss(m, c.tries, c)
		return
	}
	out.again = append(out.again, out.frame.Len())
	out.frame.Value(nil)
}

func (out *output[Out]) miss(m *miss, tries int, c *call) {
	out.failed++
	out.frame.Failure(batch.Failure{
		Code: m.code, Message: m.text, Stage: c.stage, Function: out.name, Worker: c.worker, Attempts: tries, Stack: m.stack,
	})
}

func (out *output[Out]) hole(h hole, c *call) {
	if h.failed == nil {
		out.miss(h.miss, 0, c)
		return
	}
	out.pass(h.failed)
}

func (out *output[Out]) pass(failed []byte) {
	out.frame.EndFailure(append(out.frame.Begin(), failed...))
}

// lost returns the result of a batch that is one failure.
func (out *output[Out]) lost(b batch.Batch) result {
	if err := b.Check(); err != nil {
		return result{err: err}
	}
	out.frame, out.again, out.failed = batch.Builder{}, nil, 0
	failed := b.Lost.Append(nil)
	for range b.N {
		if out.full() {
			break
		}
		out.pass(failed)
	}
	return result{n: out.frame.Len(), frame: out.frame.Take()}
}

func (out *output[Out]) full() bool { return out.frame.Size() >= batch.MaxBytes }

// result takes the frame. One that needs far less memory than it got is copied.
func (out *output[Out]) result(spent time.Duration) result {
	r := result{n: out.frame.Len(), again: out.again, failed: out.failed, spent: spent}
	frame := out.frame.Take()
	if r.n == 0 {
		return r
	}
	out.size = len(frame)/r.n + 1
	if cap(frame) > 2*len(frame)+1024 {
		frame = slices.Clone(frame)
	}
	r.frame = frame
	return r
}
