package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// An attemptError is the reason why an attempt of an item has no result.
type attemptError struct {
	code, text, stack string
	permanent         bool          // no attempt follows
	unavailable       bool          // it counts no attempt
	pause             time.Duration // before the next attempt, at least
}

// attemptErrorOf returns the reason for the error of a function that ran under ctx. If late is
// above 0, the function returned after that timeout.
func attemptErrorOf(ctx context.Context, err error, late time.Duration) *attemptError {
	if crashed, ok := errors.AsType[*crashError](err); ok {
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

const goexitText = "the function ended its goroutine by runtime.Goexit, as FailNow of a test does: return an error instead"

// protect calls f and returns its panic or its runtime.Goexit, nil if f has returned. It adds the
// time of f to spent.
func (c *Call) protect(spent *time.Duration, f func()) *attemptError {
	if c.Exposed {
		return recoverPanic(spent, f)
	}
	ended := make(chan *attemptError, 1)
	go func() {
		crash := &attemptError{code: batch.CodePanic, text: goexitText}
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
