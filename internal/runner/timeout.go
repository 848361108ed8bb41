package runner

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
	ctx context.Context, c *Call, limit time.Duration, f func(context.Context, In) (Out, error), v In,
) (out Out, late time.Duration, err error) {
	if limit <= 0 {
		out, err = f(ctx, v)
		return out, 0, err
	}
	if c.isCrowded() {
		return out, 0, &Unavailable{errCrowded}
	}
	deadline := time.Now().Add(limit)
	c.limit(deadline)
	if item, ok := ItemFrom(ctx); ok {
		ctx = WithLocator(ctx, fixed(item)) // the slot goes on without f
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
func (c *Call) isCrowded() bool { return c.Left != nil && c.Left.Load() >= maxLeft }

// leaveBehind notes that a function did not return. wait waits until it does.
func (c *Call) leaveBehind(wait func()) {
	if c.Stuck == nil {
		return
	}
	returned := c.Stuck()
	go func() {
		wait()
		returned()
	}()
}
