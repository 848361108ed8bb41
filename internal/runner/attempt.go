package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

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
	if errors.Is(context.Cause(ctx), ErrCanceled) {
		return &attemptError{code: batch.CodeCanceled, text: ErrCanceled.Error(), permanent: true}
	}
	if late > 0 {
		return &attemptError{code: batch.CodeTimeout, text: fmt.Sprintf("timeout: the function took longer than the %v that it may, "+
			"raise the timeout or give it less to do: %s", late, batch.Text(err))}
	}
	_, permanent := errors.AsType[*Permanent](err)
	_, unavailable := errors.AsType[*Unavailable](err)
	return &attemptError{
		code: batch.CodeError, text: batch.Text(err), permanent: permanent, unavailable: unavailable, pause: pauseOf(err),
	}
}

const goexit = "the function ended its goroutine by runtime.Goexit, as FailNow of a test does: return an error instead"

// recovered calls f and returns how it ended if not by returning. The time that f took
// is added to spent.
func (c *Call) recovered(spent *time.Duration, f func()) *attemptError {
	if c.Exposed {
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
