// Package runner calls a function on the items of a batch: it decodes the items, calls the function
// item by item or for all at once, turns errors, panics and timeouts into failures, and encodes the
// results. Only this package and internal/codec have type parameters below the public packages.
package runner

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Runner runs a function on one batch at a time. One goroutine uses it.
type Runner interface {
	// Run runs a call. The Result is valid until the next Run or Release.
	Run(ctx context.Context, c Call) Result
	// Release drops the values of the last batch, including results that the Runner holds.
	Release()
}

// A Call is a batch and how to run it. If ctx ends, Run stops behind the current item, and before it
// if that fails.
type Call struct {
	Batch   batch.Batch
	Held    Held          // results of another Runner in place of the frame of Batch; nil: the frame
	Hold    bool          // results may stay values, as Result.Held
	Worker  string        // named by failures
	Stage   string        // named by failures
	Queue   string        // that the items come from; for middleware
	Handler Handler       // runs each call of the function; nil: there is no middleware
	Timeout time.Duration // of one item; 0: none
	Attempt int           // number of this attempt, from 1
	Retries int           // attempts that may follow the first
	Memory  *batch.Memory // for frames
	Single  bool          // each item has a context of its own: its future may be canceled
	Exposed bool          // runtime.Goexit of the function ends the goroutine that called Run

	Progress    Progress                            // told of the current item; may be nil
	ShouldYield func() bool                         // asked after each item: stop here? May be nil
	Unavailable func(i int, why string) (back bool) // asked about an item for which the function is unavailable; may be nil
	Failed      func(i int, f batch.Failure)        // told of each failed attempt of the function; may be nil
	Stuck       func() (returned func())            // told of a call that is left behind; may be nil
	Left        *atomic.Int64                       // calls of the function that were left behind; may be nil

	caller    *caller // calls the function in place of the goroutine of Run; nil: none
	items     int     // of the batch
	positions []int32 // of the items; nil: each offset has one
}

// invocation describes the call for n items from the i-th on.
func (c *Call) invocation(function string, i, n int) Invocation {
	return Invocation{
		Item:  Item{Queue: c.Queue, Source: c.Batch.Source, Offset: c.offset(i), Attempt: c.Attempt},
		Stage: c.Stage, Function: function, Items: n,
	}
}

// Progress follows a call from another goroutine.
type Progress interface {
	// Follow notes that p tells the current item.
	Follow(p Positioner)
	// Span notes that the function runs on one of n items from the i-th on.
	Span(i, n int)
	// Limit notes when the context of the current item will end.
	Limit(deadline time.Time)
	// Future returns the context of the i-th item, and ends that of the item before.
	Future(ctx context.Context, i int) context.Context
}

// A Positioner tells the index of the current item in its batch. Only the function calls it.
type Positioner interface{ Position() int }

func (c *Call) follow(p Positioner) {
	if c.Progress != nil {
		c.Progress.Follow(p)
	}
}

func (c *Call) span(i, n int) {
	if c.Progress != nil {
		c.Progress.Span(i, n)
	}
}

func (c *Call) limit(deadline time.Time) {
	if c.Progress != nil {
		c.Progress.Limit(deadline)
	}
}

// A Result has the outputs for the first N offsets of a batch. Run stops before the end of the batch
// if the Call asks for it, and, unless the function takes whole batches, at batch.MaxBytes of output.
type Result struct {
	Frame  []byte // owned by the receiver; nil if the results are held
	Held   Held   // valid until the Runner is released; nil if there is a frame
	N      int
	Items  int           // inputs at these offsets: N, unless an earlier stage has left some out
	Again  []int         // indexes of the offsets to retry; their outputs are placeholders
	Pause  time.Duration // before the retry, at least
	Large  bool          // N is 0, since the outputs of the several items of the first offset are too many bytes
	Back   bool          // the items of Again go back at once, and no attempt of them counts
	Failed int           // number of the items that failed for good
	Spent  time.Duration
	Err    error // the batch is malformed and was not run
}
