package workers

import (
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// ErrInvalidURL is the error of New for an address of an unknown form.
var ErrInvalidURL = broker.ErrInvalidURL

// ErrUnreachable is the error of Run if no server answers at the address.
var ErrUnreachable = broker.ErrUnreachable

// ErrUnusable is the error of Run if the Redis at the address refuses in a way that waiting does not
// change: a password, a permission, TLS, its version, or its kind. It is an ErrUnreachable too.
var ErrUnusable = broker.ErrUnusable

// ErrDenied is the error of Run and Register if the Redis user lacks a permission; see
// docs/security.md.
var ErrDenied = broker.ErrDenied

// Permanent makes an error of a function final: the item is not tried again,
// however many Retries its stage has. It is nil for nil; errors.Is and errors.As
// see through it.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &runner.Permanent{Err: err}
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
	return &runner.Unavailable{Err: err}
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
	return &runner.RetryAfter{Err: err, Pause: d}
}

// Errors is the error that a batch function returns if some of its items failed: the
// error of each, by its index in the slice that the function got. The results
// of all others are taken from the slice returned, which needs its full length
// then. A nil error and an empty Errors are none; an index that does not exist
// fails all items.
type Errors map[int]error

// Error tells how many there are, and the first.
func (e Errors) Error() string {
	first, n := -1, 0
	for i, err := range e {
		if err == nil {
			continue
		}
		n++
		if first < 0 || i < first {
			first = i
		}
	}
	if n == 0 {
		return "no item of the batch failed"
	}
	return fmt.Sprintf("%d items of the batch failed, the first at index %d: %v", n, first, e[first])
}

// itemErrors returns an Errors that err is or wraps in the form that a runner knows, and any other
// error as it is.
func itemErrors(err error) error {
	if some, ok := errors.AsType[Errors](err); ok {
		return runner.Failed(some)
	}
	return err
}
