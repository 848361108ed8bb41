package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// grace is the time that a function with a timeout may run after the end of its context until it is
// left behind.
const grace = 500 * time.Millisecond

// errLeftBehind is the error of a function that did not return in time.
var errLeftBehind = errors.New("it has not returned since, and its goroutine is left behind: the function has to end when its context does")

// maxLeft limits the calls of a function that are left behind in a worker. At the limit the
// function is unavailable there.
const maxLeft = 1000

// errTooManyLeft is the reason why a function with maxLeft calls left behind is unavailable.
var errTooManyLeft = fmt.Errorf("%d calls of the function did not return after their timeouts and still run: "+
	"the function has to end when its context does", maxLeft)

// An ending is the return values of a function, or its panic.
type ending[Out any] struct {
	out   Out
	err   error
	crash *attemptError
}

// A crashError is an attemptError as an error.
type crashError struct{ miss *attemptError }

// Error returns the text of the attemptError.
func (c *crashError) Error() string { return c.miss.text }

// callWithTimeout calls f. With a limit, f has a goroutine of its own. If f does not return in
// time, that goroutine is left behind and its return values are dropped. late is the limit if f
// returned an error after it, and 0 otherwise.
func callWithTimeout[In, Out any](
	ctx context.Context, c *Call, limit time.Duration, f func(context.Context, In) (Out, error), v In,
) (out Out, late time.Duration, err error) {
	if limit <= 0 {
		out, err = f(ctx, v)
		return out, 0, err
	}
	if c.tooManyLeft() {
		return out, 0, &Unavailable{errTooManyLeft}
	}
	deadline := time.Now().Add(limit)
	c.limit(deadline)
	if item, ok := ItemFrom(ctx); ok {
		ctx = WithLocator(ctx, fixed(item)) // the slot may go on before f returns
	}
	own, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	ended := make(chan ending[Out], 1)
	go func() {
		e := ending[Out]{crash: &attemptError{code: batch.CodePanic, text: goexitText}}
		defer func() { ended <- e }()
		var spent time.Duration
		e.crash = recoverPanic(&spent, func() { e.out, e.err = f(own, v) })
	}()
	e, returned := awaitReturn(own, ended)
	switch {
	case !returned:
		c.leaveBehind(func() { <-ended })
		e.err = errLeftBehind
	case e.crash != nil:
		e.err = &crashError{e.crash}
	}
	if e.err != nil && !time.Now().Before(deadline) {
		late = limit
	}
	return e.out, late, e.err
}

// awaitReturn waits for an ending, at most grace after the end of ctx.
func awaitReturn[T any](ctx context.Context, ended <-chan T) (e T, ok bool) {
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

// tooManyLeft reports whether the function has left too many calls behind.
func (c *Call) tooManyLeft() bool { return c.Left != nil && c.Left.Load() >= maxLeft }

// leaveBehind reports that a function did not return. wait returns when the function does.
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
