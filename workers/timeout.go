package workers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// grace is how long a function with a timeout may run after the end of its context, until it is left behind.
const grace = 500 * time.Millisecond

// errLeft is the error of a function that did not return in time.
var errLeft = errors.New("it has not returned since, and its goroutine is left behind: the function has to end when its context does")

// maxLeft is how many calls of a function may be left behind in a worker. With so many, the function is unavailable there.
const maxLeft = 1000

// errCrowded is why a function that has left too many calls behind is not called.
var errCrowded = fmt.Errorf("%d calls of the function did not return after their timeouts and still run: "+
	"the function has to end when its context does", maxLeft)

// An ending is the return of a function, or how it ended otherwise.
type ending[Out any] struct {
	out   Out
	err   error
	crash *attemptError
}

// A crash is a miss as an error.
type crash struct{ miss *attemptError }

// Error returns the text of the miss.
func (c *crash) Error() string { return c.miss.text }

// within calls f. late is the limit if f returned an error after it. With a limit, f has a goroutine of its own: if
// it does not return, that is left behind, and what it returns later is dropped.
func within[In, Out any](
	ctx context.Context, c *call, limit time.Duration, f func(context.Context, In) (Out, error), v In,
) (out Out, late time.Duration, err error) {
	if limit <= 0 {
		out, err = f(ctx, v)
		return out, 0, err
	}
	if c.isCrowded() {
		return out, 0, Unavailable(errCrowded)
	}
	deadline := time.Now().Add(limit)
	c.now.limit(deadline)
	if item, ok := ItemFrom(ctx); ok {
		ctx = context.WithValue(ctx, itemKey{}, item) // the slot goes on without f
	}
	own, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	ended := make(chan ending[Out], 1)
	go func() {
		e := ending[Out]{crash: &attemptError{code: batch.CodePanic, text: goexit}}
		defer func() { ended <- e }()
		var spent time.Duration
		e.crash = recoverPanic(&spent, func() { e.out, e.err = f(own, v) })
	}()
	e, returned := await(own, ended)
	switch {
	case !returned:
		c.leaveBehind(func() { <-ended })
		e.err = errLeft
	case e.crash != nil:
		e.err = &crash{e.crash}
	}
	if e.err != nil && !time.Now().Before(deadline) {
		late = limit
	}
	return e.out, late, e.err
}

// await waits for an ending, and if ctx ends before, for a moment longer.
func await[T any](ctx context.Context, ended <-chan T) (e T, ok bool) {
	select {
	case e = <-ended:
		return e, true
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case e = <-ended:
		return e, true
	case <-timer.C:
		return e, false
	}
}

// isCrowded reports whether the function has left too many calls behind.
func (c *call) isCrowded() bool { return c.left != nil && c.left.Load() >= maxLeft }

// leaveBehind notes that a function did not return. wait waits until it does.
func (c *call) leaveBehind(wait func()) {
	if c.stuck == nil {
		return
	}
	returned := c.stuck()
	go func() {
		wait()
		returned()
	}()
}

// stuck notes that the function that runs is left behind. returned has to be called when it returns.
func (h *slot) stuck() (returned func()) {
	attrs := h.now.attrs()
	h.log.Warn("a function does not return although its context has ended; its goroutine is left behind and its slot goes on", attrs...)
	trouble := h.route.breaker
	h.left.Add(1)
	trouble.left.Add(1)
	return func() {
		h.left.Add(-1)
		trouble.left.Add(-1)
		h.log.Info("a function that was left behind has returned", attrs...)
	}
}
