package workers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// itemRunner runs a function item by item.
type itemRunner[In, Out any] struct {
	f     func(context.Context, In) (Out, error)
	in    input[In]
	out   output[Out]
	left  bool
	spent time.Duration // on the batch
}

func newItemRunner[In, Out any](
	name string, f func(context.Context, In) (Out, error), in codec.Typed[In], out codec.Typed[Out],
) *itemRunner[In, Out] {
	r := &itemRunner[In, Out]{f: f, out: output[Out]{name: name}}
	r.in.codec, r.out.codec = in, out
	return r
}

func (r *itemRunner[In, Out]) run(ctx context.Context, c call) result {
	if c.batch.Lost != nil {
		return r.out.lost(c.batch)
	}
	if err := r.in.begin(&c); err != nil {
		return result{err: err}
	}
	c.now.follow(r)
	r.left, r.spent = false, 0
	for r.out.begin(&c); !r.left && r.out.len() < c.batch.N; {
		crash := r.attempt(ctx, &c)
		switch {
		case crash == nil:
		case !r.in.decoded:
			r.in.spoil(crash)
		default:
			r.missed(ctx, crash, &c)
		}
		if r.in.err != nil {
			return result{err: r.in.err}
		}
	}
	return r.out.result(r.spent, &c)
}

// attempt calls the function until all is done, it is left off, or something crashes. A future has a context of its own,
// whose end only its own call knows.
func (r *itemRunner[In, Out]) attempt(ctx context.Context, c *call) *attemptError {
	if c.timeout > 0 && !c.single {
		return c.attend(ctx, &r.spent, func(own context.Context) { r.loop(own, c) })
	}
	return c.recovered(&r.spent, func() { r.loop(ctx, c) })
}

func (r *itemRunner[In, Out]) release() {
	r.in.release()
	r.out.clear()
}

// loop goes on at the item where it ended, by itself or by a panic.
func (r *itemRunner[In, Out]) loop(ctx context.Context, c *call) {
	if !r.in.decoded {
		if r.in.decode(c); r.in.err != nil {
			return
		}
	}
	simple := r.out.codec.Short() && c.timeout <= 0 && !c.single
	for i := r.out.len(); !r.left && i < c.batch.N; i = r.out.len() {
		end := r.in.upTo(i)
		switch {
		case r.out.full():
			r.left = true
		case end == i:
			h, _ := r.in.hole(i)
			r.out.hole(h, c)
		case ctx.Err() != nil:
			r.left = true
		case simple:
			c.now.span(i, min(end-i, seriesItems))
			r.series(ctx, r.in.values[i:min(end, i+seriesItems)], c)
		default:
			r.try(ctx, i, c)
		}
	}
}

// position is the item that the function is at.
func (r *itemRunner[In, Out]) position() int { return r.out.len() }

// seriesItems is how many short items are run until the size of what came out is
// looked at.
const seriesItems = 1 << 14

// series is try for short values, up to the first that fails. It looks at ctx only when leave
// says to leave, which it does at the end of the stage and of a time slice: a look after each item would
// cost more than all else that is done for it.
func (r *itemRunner[In, Out]) series(ctx context.Context, values []In, c *call) {
	for _, v := range values {
		made, err := r.f(ctx, v)
		if err != nil {
			r.missed(ctx, missOf(ctx, err, 0), c)
			return
		}
		if c.shouldYield == nil || c.shouldYield() {
			if stageEnded(ctx) {
				r.left = true
				return
			}
			r.left = c.shouldYield != nil || ctx.Err() != nil
		}
		r.out.values = append(r.out.values, made)
		r.out.size += batch.Short
		if r.left {
			return
		}
	}
}

func (r *itemRunner[In, Out]) try(ctx context.Context, i int, c *call) {
	c.now.span(i, 1)
	own := c.context(ctx, i)
	v, late, err := r.callFor(own, c, i)
	switch {
	case err != nil:
		r.missed(ctx, missOf(own, err, late), c)
	case stageEnded(ctx):
		r.left = true
	default:
		r.out.value(v, c)
		r.left = c.shouldYield != nil && c.shouldYield()
	}
}

// callFor calls the function for the i-th item.
func (r *itemRunner[In, Out]) callFor(ctx context.Context, c *call, i int) (Out, time.Duration, error) {
	if c.caller != nil {
		return timed(ctx, c, i, r.f, r.in.values[i])
	}
	return within(ctx, c, c.timeout, r.f, r.in.values[i])
}

// missed takes note of an item whose attempt failed; one that the end of the worker or of
// the stage may have caused is left to others.
func (r *itemRunner[In, Out]) missed(ctx context.Context, m *attemptError, c *call) {
	if ctx.Err() != nil || c.goesBack(r.out.len(), m) {
		r.left = true
		return
	}
	r.out.missed(m, c)
	r.left = c.shouldYield != nil && c.shouldYield()
}

// goesBack reports whether the i-th item and those behind it are left to others, since the function is unavailable.
func (c *call) goesBack(i int, m *attemptError) bool {
	return m.unavailable && c.unavailable != nil && c.unavailable(i, m.text)
}

// context is what the i-th item gets.
func (c *call) context(ctx context.Context, i int) context.Context {
	if !c.single {
		return ctx
	}
	return c.now.future(ctx, i)
}

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

func (r *batchRunner[In, Out]) run(ctx context.Context, c call) result {
	if c.batch.Lost != nil {
		return r.out.lost(c.batch)
	}
	r.release()
	if err := r.in.begin(&c); err != nil {
		return result{err: err}
	}
	r.spent = 0
	if crash := c.recovered(&r.spent, func() { r.in.decode(&c) }); crash != nil {
		r.in.spoil(crash)
	}
	if r.in.err != nil {
		return result{err: r.in.err}
	}
	r.todo = slices.Grow(r.todo, c.batch.N)
	r.places = slices.Grow(r.places, c.batch.N)[:c.batch.N]
	for i := range c.batch.N {
		if _, ok := r.in.hole(i); !ok {
			r.todo = append(r.todo, i)
		}
	}
	if len(r.todo) > 0 && ctx.Err() == nil {
		c.now.follow(r)
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

// position is the first item that the function got.
func (r *batchRunner[In, Out]) position() int { return r.todo[0] }

// try calls the function with what is to do.
func (r *batchRunner[In, Out]) try(ctx context.Context, c *call) {
	given := make([]In, len(r.todo))
	for k, i := range r.todo {
		given[k] = r.in.values[i]
	}
	limit := c.timeout * time.Duration(len(given))
	if limit/time.Duration(len(given)) != c.timeout {
		limit = math.MaxInt64
	}
	var values []Out
	var miss func(k int) *attemptError
	if crash := c.recovered(&r.spent, func() {
		own := ctx
		if c.batch.N == 1 { // else the end of one would be that of others
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
	var some Errors
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
func (r *batchRunner[In, Out]) write(c *call) {
	for i := r.out.len(); i < c.batch.N; i++ {
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

func (r *batchRunner[In, Out]) release() {
	r.in.release()
	r.out.clear()
	r.todo, r.places = emptied(r.todo), emptied(r.places)
}

// A attemptError is why an item has no result.
type attemptError struct {
	code, text, stack string
	permanent         bool          // another attempt is of no use
	unavailable       bool          // it is no attempt
	pause             time.Duration // until the next attempt, at least
}

// missOf makes a miss of what a function returned, under the context that it
// had, late if it is above 0.
func missOf(ctx context.Context, err error, late time.Duration) *attemptError {
	if crashed, ok := errors.AsType[*crash](err); ok {
		return crashed.miss
	}
	if errors.Is(context.Cause(ctx), errCanceled) {
		return &attemptError{code: batch.CodeCanceled, text: errCanceled.Error(), permanent: true}
	}
	if late > 0 {
		return &attemptError{code: batch.CodeTimeout, text: fmt.Sprintf("timeout: the function took longer than the %v that it may, "+
			"raise the timeout or give it less to do: %s", late, batch.Text(err))}
	}
	var final *permanent
	return &attemptError{
		code: batch.CodeError, text: batch.Text(err), permanent: errors.As(err, &final), unavailable: isUnavailable(err), pause: pauseOf(err),
	}
}

const goexit = "the function ended its goroutine by runtime.Goexit, as FailNow of a test does: return an error instead"

// recovered calls f and returns how it ended if not by returning. The time that f took
// is added to spent.
func (c *call) recovered(spent *time.Duration, f func()) *attemptError {
	if c.exposed {
		return recoverPanic(spent, f)
	}
	ended := make(chan *attemptError, 1)
	go func() {
		crash := &attemptError{code: batch.CodePanic, text: goexit}
		defer func() { ended <- crash }()
		crash = recoverPanic(spent, f)
	}()
	return <-ended
}

// recoverPanic calls f and returns its panic.
func recoverPanic(spent *time.Duration, f func()) (crash *attemptError) {
	begin := time.Now()
	defer func() {
		*spent += time.Since(begin)
		if r := recover(); r != nil {
			crash = &attemptError{code: batch.CodePanic, text: "panic: " + batch.Text(r), stack: batch.Stack(debug.Stack())}
		}
	}()
	f()
	return nil
}
