package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// batchRunner calls a function for all items of a batch that have a value.
type batchRunner[In, Out any] struct {
	f        func(context.Context, []In) ([]Out, error)
	in       input[In]
	out      output[Out]
	through  passages[[]In, []Out]
	todo     []int
	outcomes []outcome[Out]
	spent    time.Duration // on the batch
}

// An outcome is the result of an item or its error.
type outcome[Out any] struct {
	value Out
	err   *attemptError
	done  bool
	again bool // the item goes back to its queue, and the attempt does not count
}

func newBatchRunner[In, Out any](
	name string, f func(context.Context, []In) ([]Out, error), in codec.Typed[In], out codec.Typed[Out],
) *batchRunner[In, Out] {
	r := &batchRunner[In, Out]{f: f, out: output[Out]{name: name}}
	r.in.codec, r.out.codec = in, out
	return r
}

func (r *batchRunner[In, Out]) Run(ctx context.Context, c Call) Result {
	if c.Batch.Lost != nil {
		return r.out.failedBatch(c.Batch)
	}
	r.Release()
	if err := r.in.begin(&c); err != nil {
		return Result{Err: err}
	}
	r.spent = 0
	if crash := c.protect(&r.spent, func() { r.in.decode(&c) }); crash != nil {
		r.in.failAll(c.items, crash)
	}
	if r.in.err != nil {
		return Result{Err: r.in.err}
	}
	r.todo = slices.Grow(r.todo, c.items)
	r.outcomes = slices.Grow(r.outcomes, c.items)[:c.items]
	for i := range c.items {
		if _, ok := r.in.failureAt(i); !ok {
			r.todo = append(r.todo, i)
		}
	}
	if len(r.todo) > 0 && ctx.Err() == nil {
		c.follow(r)
		r.try(ctx, &c)
	}
	r.in.passed = 0
	r.out.begin(&c)
	write := func() { r.write(&c) }
	for crash := c.protect(&r.spent, write); crash != nil; crash = c.protect(&r.spent, write) {
		r.outcomes[r.out.len()].err = r.out.unencodable(&batch.Crash{Text: crash.text, Stack: crash.stack})
	}
	return r.out.result(r.spent, &c)
}

// Position returns the index of the first item of the call.
func (r *batchRunner[In, Out]) Position() int { return r.todo[0] }

// try calls the function for the items in todo.
func (r *batchRunner[In, Out]) try(ctx context.Context, c *Call) {
	given := make([]In, len(r.todo))
	for k, i := range r.todo {
		given[k] = r.in.values[i]
	}
	limit := c.Timeout * time.Duration(len(given))
	if limit/time.Duration(len(given)) != c.Timeout {
		limit = math.MaxInt64
	}
	f := r.f
	if c.Handler != nil {
		about := c.invocation(r.out.name, r.todo[0], len(given))
		about.Whole = true
		f = r.through.around(f, c.Handler, about)
	}
	var values []Out
	var miss func(k int) *attemptError
	if crash := c.protect(&r.spent, func() {
		own := ctx
		if c.Batch.N == 1 { // otherwise the end of one future would end the others
			own = c.context(ctx, 0)
		}
		out, late, err := callWithTimeout(own, c, limit, f, given)
		values, miss = out, itemErrors(own, len(given), len(out), err, late)
	}); crash != nil {
		miss = sameForAll(crash)
	}
	if stageEnded(ctx) {
		return
	}
	r.settle(ctx, c, values, miss)
}

// settle records the outcomes of a call. If an operator has canceled one of its items, the others
// without a result go back.
func (r *batchRunner[In, Out]) settle(ctx context.Context, c *Call, values []Out, miss func(k int) *attemptError) {
	ended := ctx.Err() != nil
	isCanceled := func(i int) bool { return operatorCanceled(ctx, c.offset(i)) != nil }
	stopped := ended && slices.ContainsFunc(r.todo, isCanceled)
	for k, i := range r.todo {
		if m := miss(k); m == nil {
			r.outcomes[i] = outcome[Out]{value: values[k], done: true}
		} else if stopped && isCanceled(i) {
			r.outcomes[i] = outcome[Out]{err: operatorCanceled(ctx, c.offset(i)), done: true}
		} else if stopped {
			r.outcomes[i] = outcome[Out]{done: true, again: true}
		} else if !ended && !c.goesBack(i, m) {
			r.outcomes[i] = outcome[Out]{err: m, done: true}
		}
	}
}

// itemErrors returns a function that returns the error of the k-th of n items, nil for none, after
// a call that returned results and an error.
func itemErrors(ctx context.Context, n, results int, err error, late time.Duration) func(k int) *attemptError {
	var some Failed
	if err != nil && !errors.As(err, &some) {
		return sameForAll(attemptErrorOf(ctx, err, late))
	}
	misses := make(map[int]*attemptError)
	for k, err := range some {
		if k < 0 || k >= n {
			return sameForAll(attemptErrorOf(ctx, fmt.Errorf("the function returned Errors with index %d, but it got %d items: "+
				"the index is that in the slice it gets", k, n), 0))
		}
		if err != nil {
			misses[k] = attemptErrorOf(ctx, err, late)
		}
	}
	if results != n && len(misses) < n {
		return sameForAll(attemptErrorOf(ctx, fmt.Errorf("the function got %d items and returned %d results: "+
			"it has to return one for each, in order, also beside Errors", n, results), 0))
	}
	return func(k int) *attemptError { return misses[k] }
}

func sameForAll(m *attemptError) func(int) *attemptError { return func(int) *attemptError { return m } }

// write adds the outcomes to the result, up to the first item that is not done.
func (r *batchRunner[In, Out]) write(c *Call) {
	for i := r.out.len(); i < c.items; i++ {
		p := &r.outcomes[i]
		if h, ok := r.in.failureAt(i); ok {
			r.out.passOn(h, c)
		} else if !p.done {
			return
		} else if p.again {
			r.out.putBack()
		} else if p.err != nil {
			r.out.failOrRetry(p.err, c)
		} else {
			r.out.add(p.value, c)
		}
	}
}

func (r *batchRunner[In, Out]) Release() {
	r.in.release()
	r.out.clear()
	r.todo, r.outcomes = emptied(r.todo), emptied(r.outcomes)
}
