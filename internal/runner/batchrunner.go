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

// batchRunner runs a function on all good items of a batch at once.
type batchRunner[In, Out any] struct {
	f      func(context.Context, []In) ([]Out, error)
	in     input[In]
	out    output[Out]
	todo   []int
	places []place[Out]
	spent  time.Duration // on the batch
}

// A place is what has become of an item.
type place[Out any] struct {
	value Out
	miss  *attemptError
	done  bool
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
		return r.out.lost(c.Batch)
	}
	r.Release()
	if err := r.in.begin(&c); err != nil {
		return Result{Err: err}
	}
	r.spent = 0
	if crash := c.recovered(&r.spent, func() { r.in.decode(&c) }); crash != nil {
		r.in.spoil(crash)
	}
	if r.in.err != nil {
		return Result{Err: r.in.err}
	}
	r.todo = slices.Grow(r.todo, c.Batch.N)
	r.places = slices.Grow(r.places, c.Batch.N)[:c.Batch.N]
	for i := range c.Batch.N {
		if _, ok := r.in.hole(i); !ok {
			r.todo = append(r.todo, i)
		}
	}
	if len(r.todo) > 0 && ctx.Err() == nil {
		c.follow(r)
		r.try(ctx, &c)
	}
	r.in.next = 0
	r.out.begin(&c)
	write := func() { r.write(&c) }
	for crash := c.recovered(&r.spent, write); crash != nil; crash = c.recovered(&r.spent, write) {
		r.places[r.out.len()].miss = r.out.unencodable(&batch.Crash{Text: crash.text, Stack: crash.stack})
	}
	return r.out.result(r.spent, &c)
}

// Position is the first item that the function got.
func (r *batchRunner[In, Out]) Position() int { return r.todo[0] }

// try calls the function with what is to do.
func (r *batchRunner[In, Out]) try(ctx context.Context, c *Call) {
	given := make([]In, len(r.todo))
	for k, i := range r.todo {
		given[k] = r.in.values[i]
	}
	limit := c.Timeout * time.Duration(len(given))
	if limit/time.Duration(len(given)) != c.Timeout {
		limit = math.MaxInt64
	}
	var values []Out
	var miss func(k int) *attemptError
	if crash := c.recovered(&r.spent, func() {
		own := ctx
		if c.Batch.N == 1 { // else the end of one would be that of others
			own = c.context(ctx, 0)
		}
		out, late, err := within(own, c, limit, r.f, given)
		values, miss = out, judge(own, len(given), len(out), err, late)
	}); crash != nil {
		miss = all(crash)
	}
	if stageEnded(ctx) {
		return
	}
	ended := ctx.Err() != nil
	for k, i := range r.todo {
		if m := miss(k); m == nil {
			r.places[i] = place[Out]{value: values[k], done: true}
		} else if !ended && !c.goesBack(i, m) {
			r.places[i] = place[Out]{miss: m, done: true}
		}
	}
}

// judge tells which of n items failed, in a call that returned results and an
// error.
func judge(ctx context.Context, n, results int, err error, late time.Duration) func(k int) *attemptError {
	var some Failed
	if err != nil && !errors.As(err, &some) {
		return all(missOf(ctx, err, late))
	}
	misses := make(map[int]*attemptError)
	for k, err := range some {
		if k < 0 || k >= n {
			return all(missOf(ctx, fmt.Errorf("the function returned Errors with index %d, but it got %d items: "+
				"the index is that in the slice it gets", k, n), 0))
		}
		if err != nil {
			misses[k] = missOf(ctx, err, late)
		}
	}
	if results != n && len(misses) < n {
		return all(missOf(ctx, fmt.Errorf("the function got %d items and returned %d results: "+
			"it has to return one for each, in order, also beside Errors", n, results), 0))
	}
	return func(k int) *attemptError { return misses[k] }
}

func all(m *attemptError) func(int) *attemptError { return func(int) *attemptError { return m } }

// write writes what is there, up to the first item that is not done.
func (r *batchRunner[In, Out]) write(c *Call) {
	for i := r.out.len(); i < c.Batch.N; i++ {
		p := &r.places[i]
		if h, ok := r.in.hole(i); ok {
			r.out.hole(h, c)
		} else if !p.done {
			return
		} else if p.miss != nil {
			r.out.missed(p.miss, c)
		} else {
			r.out.value(p.value, c)
		}
	}
}

func (r *batchRunner[In, Out]) Release() {
	r.in.release()
	r.out.clear()
	r.todo, r.places = emptied(r.todo), emptied(r.places)
}
