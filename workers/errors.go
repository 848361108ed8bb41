package workers

import (
	"errors"
	"time"
)

// Permanent makes an error of a function final: the item is not tried again,
// however many Retries its stage has. It is nil for nil; errors.Is and errors.As
// see through it.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// Unavailable says that a function cannot run in this worker now, whatever the item: a program is not installed, a file
// descriptor or a connection cannot be had. The item goes back for any worker, which counts no attempt. This worker
// takes no items for the function for a while, 100 ms at first and twice as long each further time up to 30 s, and then
// lets fewer calls run at the same time. It warns once. If the same item is unavailable eight times in a worker in which the
// function has succeeded for others, that counts as an attempt that failed. It is nil for nil; errors.Is and errors.As see through it.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &unavailable{err}
}

type unavailable struct{ error }

func (u *unavailable) Unwrap() error { return u.error }

// RetryAfter is an error of a function that says when to try the item again, such as a server that asks for a pause: not
// before d has passed, whatever the backoff of the stage. It is an attempt that failed, as any error is: without
// Retries that are left, the item is a failure. It is nil for nil; errors.Is and errors.As see through it.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &later{err, d}
}

type later struct {
	error
	pause time.Duration
}

func (l *later) Unwrap() error { return l.error }

// pauseOf is how long an error asks to wait.
func pauseOf(err error) time.Duration {
	if l, ok := errors.AsType[*later](err); ok {
		return l.pause
	}
	return 0
}

// isUnavailable reports whether an error is not about the item.
func isUnavailable(err error) bool {
	_, ok := errors.AsType[*unavailable](err)
	return ok
}
