package runner

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// itemRunner runs a function item by item.
type itemRunner[In, Out any] struct {
	f       func(context.Context, In) (Out, error)
	in      input[In]
	out     output[Out]
	through passages[In, Out]
	stopped bool
	spent   time.Duration // on the batch
}

func newItemRunner[In, Out any](
	name string, f func(context.Context, In) (Out, error), in codec.Typed[In], out codec.Typed[Out],
) *itemRunner[In, Out] {
	r := &itemRunner[In, Out]{f: f, out: output[Out]{name: name}}
	r.in.codec, r.out.codec = in, out
	return r
}

func (r *itemRunner[In, Out]) Run(ctx context.Context, c Call) Result {
	if c.Batch.Lost != nil {
		return r.out.failedBatch(c.Batch)
	}
	if err := r.in.begin(&c); err != nil {
		return Result{Err: err}
	}
	c.follow(r)
	r.stopped, r.spent = false, 0
	for r.out.begin(&c); !r.stopped && r.out.len() < c.items; {
		crash := r.attempt(ctx, &c)
		switch {
		case crash == nil:
		case !r.in.decoded:
			r.in.failAll(c.items, crash)
		default:
			r.failed(ctx, crash, &c)
		}
		if r.in.err != nil {
			return Result{Err: r.in.err}
		}
	}
	return r.out.result(r.spent, &c)
}

// attempt calls the function for item after item until the last one, until it has to stop, or until
// the function panics. It returns the panic. With a timeout the function runs in a goroutine of its
// own, except for futures, which have a context each.
func (r *itemRunner[In, Out]) attempt(ctx context.Context, c *Call) *attemptError {
	if c.Timeout > 0 && !c.Single {
		return c.callInGoroutine(ctx, &r.spent, func(own context.Context) { r.runItems(own, c) })
	}
	return c.protect(&r.spent, func() { r.runItems(ctx, c) })
}

func (r *itemRunner[In, Out]) Release() {
	r.in.release()
	r.out.clear()
}

// runItems goes on at the first item without a result.
func (r *itemRunner[In, Out]) runItems(ctx context.Context, c *Call) {
	if !r.in.decoded {
		if r.in.decode(c); r.in.err != nil {
			return
		}
	}
	simple := r.out.codec.Short() && c.Timeout <= 0 && !c.Single && c.Handler == nil
	for i := r.out.len(); !r.stopped && i < c.items; i = r.out.len() {
		end := r.in.nextFailure(i)
		switch {
		case r.out.full():
			r.stopped, r.out.cut = true, true
		case end == i:
			h, _ := r.in.failureAt(i)
			r.out.passOn(h, c)
		case ctx.Err() != nil:
			if i == 0 || c.endsOffset(i-1) || !r.canceled(ctx, c) {
				r.stopped = true
			}
		case simple:
			c.span(i, min(end-i, shortItems))
			r.runShort(ctx, r.in.values[i:min(end, i+shortItems)], c)
		default:
			r.runItem(ctx, i, c)
		}
	}
}

// Position returns the index of the current item.
func (r *itemRunner[In, Out]) Position() int { return r.out.len() }

// shortItems is the number of short items between two checks of the size of the result.
const shortItems = 1 << 14

// runShort is runItem for many short values, up to the first error. It looks at ctx only if
// ShouldYield says to stop, which it does at the end of the stage and of a time slice: a look after
// each item would cost more than all other work for it.
func (r *itemRunner[In, Out]) runShort(ctx context.Context, values []In, c *Call) {
	for _, v := range values {
		made, err := r.f(ctx, v)
		if err != nil {
			r.failed(ctx, attemptErrorOf(ctx, err, 0), c)
			return
		}
		if c.ShouldYield == nil || c.ShouldYield() {
			if stageEnded(ctx) {
				r.stopped = true
				return
			}
			r.stopped = (c.ShouldYield != nil || ctx.Err() != nil) && c.endsOffset(r.out.len())
		}
		r.out.values = append(r.out.values, made)
		r.out.size += batch.Short
		if r.stopped {
			return
		}
	}
}

func (r *itemRunner[In, Out]) runItem(ctx context.Context, i int, c *Call) {
	c.span(i, 1)
	own := c.context(ctx, i)
	v, late, err := r.callFor(own, c, i)
	switch {
	case err != nil:
		r.failed(ctx, attemptErrorOf(own, err, late), c)
	case stageEnded(ctx):
		r.stopped = true
	default:
		r.out.add(v, c)
		r.yield(c)
	}
}

// yield stops behind the item that was added last, if the call asks for it. The items of an offset stay
// together.
func (r *itemRunner[In, Out]) yield(c *Call) {
	r.stopped = c.ShouldYield != nil && c.ShouldYield() && c.endsOffset(r.out.len()-1)
}

// callFor calls the function for the i-th item, with its middleware.
func (r *itemRunner[In, Out]) callFor(ctx context.Context, c *Call, i int) (Out, time.Duration, error) {
	f := r.f
	if c.Handler != nil {
		f = r.through.around(f, c.Handler, c.invocation(r.out.name, i, 1))
	}
	if c.caller != nil {
		return callTimed(ctx, c, i, f, r.in.values[i])
	}
	return callWithTimeout(ctx, c, c.Timeout, f, r.in.values[i])
}

// failed records the failed attempt of the current item. If the end of the worker or of the stage
// may be the cause, it stops before the item instead. It stops behind an item that an operator has
// canceled.
func (r *itemRunner[In, Out]) failed(ctx context.Context, m *attemptError, c *Call) {
	if r.canceled(ctx, c) {
		return
	}
	if ctx.Err() != nil || c.goesBack(r.out.len(), m) {
		r.stopped = true
		return
	}
	r.out.failOrRetry(m, c)
	r.yield(c)
}

// canceled records that an operator has canceled the current item, if so: then it stops behind the last
// item of the same offset.
func (r *itemRunner[In, Out]) canceled(ctx context.Context, c *Call) bool {
	i := r.out.len()
	canceled := operatorCanceled(ctx, c.offset(i))
	if canceled != nil {
		r.out.failOrRetry(canceled, c)
		r.stopped = c.endsOffset(i)
	}
	return canceled != nil
}

// goesBack reports whether the i-th item and those behind it go to other workers, since the
// function is unavailable.
func (c *Call) goesBack(i int, m *attemptError) bool {
	return m.unavailable && c.Unavailable != nil && c.Unavailable(i, m.text)
}

// context returns the context for the i-th item.
func (c *Call) context(ctx context.Context, i int) context.Context {
	if !c.Single {
		return ctx
	}
	return c.Progress.Future(ctx, i)
}
