package runner

import (
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
)

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
func (in *input[In]) begin(c *Call) error {
	in.release()
	return c.Batch.CheckRange()
}

// decode takes the items of a batch. It is called once, and may crash where the
// codec is the user's.
func (in *input[In]) decode(c *Call) {
	if made, ok := c.Held.(*column[In]); ok {
		in.release()
		in.values, in.holes, in.decoded, in.lent = made.values, made.holes, true, true
		return
	}
	in.batch = c.Batch
	b := &in.batch
	if c.Held != nil {
		b.Frame = c.Held.Encode(0, nil)
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
