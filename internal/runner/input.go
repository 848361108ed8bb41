package runner

import (
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// An input is the decoded items of a batch.
type input[In any] struct {
	column[In]
	batch    batch.Batch
	passed   int // failures before it are behind the caller
	decoded  bool
	borrowed bool    // the values belong to another Runner
	own      []int32 // memory for positions
	err      error   // the batch is malformed
}

// begin drops the last batch, checks the range of the next one and finds the offsets of its items.
func (in *input[In]) begin(c *Call) (err error) {
	in.release()
	if err := c.Batch.CheckRange(); err != nil {
		return err
	}
	c.items = c.Batch.N
	switch {
	case c.Held != nil:
		if in.positions, in.counted = c.Held.where(); in.counted {
			in.positions = in.positions[:c.Held.ItemsIn(0, c.Batch.N)]
		}
	case batch.Counted(c.Batch.Frame):
		if in.own, err = c.Batch.AppendPositions(in.own[:0]); err != nil {
			return err
		}
		in.positions, in.counted = in.own, true
	}
	if !in.counted {
		return nil
	}
	in.offsets = c.Batch.N
	c.count(in.positions)
	if c.items == 0 && c.Held == nil { // its items are not decoded
		return c.Batch.Check()
	}
	return nil
}

// decode decodes the items of a batch. It is called once a batch. A codec of the user may panic in
// it.
func (in *input[In]) decode(c *Call) {
	if made, ok := c.Held.(*column[In]); ok {
		in.values, in.failures, in.decoded, in.borrowed = made.values[:c.items:c.items], made.failuresBefore(c.items), true, true
		return
	}
	in.batch = c.Batch
	b := &in.batch
	if c.Held != nil {
		b.Frame = c.Held.Encode(0, b.N, nil)
	}
	if c.items > len(b.Frame) { // each item has a header
		in.err = b.Check()
		return
	}
	r := batch.Read(b.Frame)
	values := in.values
	in.values = nil // a codec may call runtime.Goexit and leave them half full
	values, err := in.codec.Decode(&r, c.items, values, func(i int, failed []byte, err error) {
		h := failedItem{index: i, failure: failed}
		if err != nil {
			h.err = in.undecodable(err)
		}
		in.failures = append(in.failures, h)
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

// failAll fails all items, after a codec of the user has panicked or ended its goroutine.
func (in *input[In]) failAll(items int, why *attemptError) {
	why.code = batch.CodeDecode
	b := in.batch
	in.values, in.failures = make([]In, items), in.failures[:0]
	r := batch.Read(b.Frame)
	for i := range items {
		h := failedItem{index: i, err: why}
		if item, failed, _ := r.Next(); failed {
			h.failure = item
		}
		in.failures = append(in.failures, h)
	}
	in.err, in.decoded = b.Check(), true
}

// failureAt returns the failure at index i, if there is one. Callers ask for growing indexes only.
func (in *input[In]) failureAt(i int) (h failedItem, ok bool) {
	if in.nextFailure(i) > i {
		return failedItem{}, false
	}
	return in.failures[in.passed], true
}

// nextFailure returns the index of the first failure from i on, or the number of items.
func (in *input[In]) nextFailure(i int) int {
	for in.passed < len(in.failures) && in.failures[in.passed].index < i {
		in.passed++
	}
	if in.passed == len(in.failures) {
		return len(in.values)
	}
	return in.failures[in.passed].index
}

// release drops the values of the batch.
func (in *input[In]) release() {
	if in.borrowed {
		in.values, in.failures = nil, nil
	}
	in.clear()
	in.batch, in.passed, in.decoded, in.borrowed, in.err = batch.Batch{}, 0, false, false, nil
}
