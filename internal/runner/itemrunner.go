package runner

import (
	"context"
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

func (r *itemRunner[In, Out]) Run(ctx context.Context, c Call) Result {
	if c.Batch.Lost != nil {
		return r.out.lost(c.Batch)
	}
	if err := r.in.begin(&c); err != nil {
		return Result{Err: err}
	}
	c.follow(r)
	r.left, r.spent = false, 0
	for r.out.begin(&c); !r.left && r.out.len() < c.Batch.N; {
		crash := r.attempt(ctx, &c)
		switch {
		case crash == nil:
		case !r.in.decoded:
			r.in.spoil(crash)
		default:
			r.missed(ctx, crash, &c)
		}
		if r.in.err != nil {
			return Result{Err: r.in.err}
		}
	}
	return r.out.result(r.spent, &c)
}

// attempt calls the function until all is done, it is left off, or something crashes. A future has a context of its own,
// whose end only its own call knows.
func (r *itemRunner[In, Out]) attempt(ctx context.Context, c *Call) *attemptError {
	if c.Timeout > 0 && !c.Single {
		return c.attend(ctx, &r.spent, func(own context.Context) { r.loop(own, c) })
	}
	return c.recovered(&r.spent, func() { r.loop(ctx, c) })
}

func (r *itemRunner[In, Out]) Release() {
	r.in.release()
	r.out.clear()
}

// loop goes on at the item where it ended, by itself or by a panic.
func (r *itemRunner[In, Out]) loop(ctx context.Context, c *Call) {
	if !r.in.decoded {
		if r.in.decode(c); r.in.err != nil {
			return
		}
	}
	simple := r.out.codec.Short() && c.Timeout <= 0 && !c.Single
	for i := r.out.len(); !r.left && i < c.Batch.N; i = r.out.len() {
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
			c.span(i, min(end-i, seriesItems))
			r.series(ctx, r.in.values[i:min(end, i+seriesItems)], c)
		default:
			r.try(ctx, i, c)
		}
	}
}

// Position is the item that the function is at.
func (r *itemRunner[In, Out]) Position() int { return r.out.len() }

// seriesItems is how many short items are run until the size of what came out is
// looked at.
const seriesItems = 1 << 14

// series is try for short values, up to the first that fails. It looks at ctx only when leave
// says to leave, which it does at the end of the stage and of a time slice: a look after each item would
// cost more than all else that is done for it.
func (r *itemRunner[In, Out]) series(ctx context.Context, values []In, c *Call) {
	for _, v := range values {
		made, err := r.f(ctx, v)
		if err != nil {
			r.missed(ctx, missOf(ctx, err, 0), c)
			return
		}
		if c.ShouldYield == nil || c.ShouldYield() {
			if stageEnded(ctx) {
				r.left = true
				return
			}
			r.left = c.ShouldYield != nil || ctx.Err() != nil
		}
		r.out.values = append(r.out.values, made)
		r.out.size += batch.Short
		if r.left {
			return
		}
	}
}

func (r *itemRunner[In, Out]) try(ctx context.Context, i int, c *Call) {
	c.span(i, 1)
	own := c.context(ctx, i)
	v, late, err := r.callFor(own, c, i)
	switch {
	case err != nil:
		r.missed(ctx, missOf(own, err, late), c)
	case stageEnded(ctx):
		r.left = true
	default:
		r.out.value(v, c)
		r.left = c.ShouldYield != nil && c.ShouldYield()
	}
}

// callFor calls the function for the i-th item.
func (r *itemRunner[In, Out]) callFor(ctx context.Context, c *Call, i int) (Out, time.Duration, error) {
	if c.caller != nil {
		return timed(ctx, c, i, r.f, r.in.values[i])
	}
	return within(ctx, c, c.Timeout, r.f, r.in.values[i])
}

// missed takes note of an item whose attempt failed; one that the end of the worker or of
// the stage may have caused is left to others.
func (r *itemRunner[In, Out]) missed(ctx context.Context, m *attemptError, c *Call) {
	if ctx.Err() != nil || c.goesBack(r.out.len(), m) {
		r.left = true
		return
	}
	r.out.missed(m, c)
	r.left = c.ShouldYield != nil && c.ShouldYield()
}

// goesBack reports whether the i-th item and those behind it are left to others, since the function is unavailable.
func (c *Call) goesBack(i int, m *attemptError) bool {
	return m.unavailable && c.Unavailable != nil && c.Unavailable(i, m.text)
}

// context is what the i-th item gets.
func (c *Call) context(ctx context.Context, i int) context.Context {
	if !c.Single {
		return ctx
	}
	return c.Progress.Future(ctx, i)
}
