package workers

import (
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// Permanent wraps an error of a function: the item is not retried, even if its stage has Retries
// left. It returns nil for nil. errors.Is and errors.As find the wrapped error.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &runner.Permanent{Err: err}
}

// Unavailable wraps an error of a function that cannot run in this worker now, for any item: a
// program is not installed, or a connection fails. The item goes back to the queue, and the attempt
// does not count. This worker does not call the function for 100 ms at first, and for twice as long
// after each further failure, up to 30 s. Afterwards it lets fewer calls run at once. It warns once
// a minute at most. If the same item is unavailable eight times in a worker in which the function
// has succeeded for others, that counts as a failed attempt. It returns nil for nil. errors.Is and
// errors.As find the wrapped error.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &runner.Unavailable{Err: err}
}

// RetryAfter wraps an error of a function: the item is not retried before d has passed, even if the
// backoff of the stage is shorter. It is a failed attempt like any other: if no Retries are left,
// the item fails. It returns nil for nil. errors.Is and errors.As find the wrapped error.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &runner.RetryAfter{Err: err, Pause: d}
}

// Errors is the error of a batch function for some of its items: the error of each, by its index in
// the slice that the function got. The slice of results needs its full length then, and the results
// of all other items are taken from it. A nil error and an empty Errors fail no item. An index that
// does not exist fails all items.
type Errors map[int]error

// Error returns the number of failed items, and the error with the lowest index.
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

// publicErrors returns the errors of single items in the form of workers, and any other error as it
// is.
func publicErrors(err error) error {
	if some, ok := errors.AsType[runner.Failed](err); ok {
		return Errors(some)
	}
	return err
}
