package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// ErrStageEnded is the cause of the end of a call's context whose stage was removed or replaced. The
// result of the call is dropped.
var ErrStageEnded = errors.New("the stage was removed or replaced")

// ErrCanceled is the cause of the end of a call's context whose future was canceled.
var ErrCanceled = errors.New("the future was canceled")

// CanceledItems is the cause of the end of a call's context when an operator has canceled the item that
// it runs: one of N items from the offset First on.
type CanceledItems struct {
	First int64
	N     int
}

// Error returns the message of the failure of the item.
func (*CanceledItems) Error() string { return "canceled by an operator" }

// operatorCanceled returns the failure of an item that an operator has canceled, nil for another item.
func operatorCanceled(ctx context.Context, offset int64) *attemptError {
	if ctx.Err() == nil {
		return nil
	}
	items, ok := errors.AsType[*CanceledItems](context.Cause(ctx))
	if !ok || offset < items.First || offset >= items.First+int64(items.N) {
		return nil
	}
	return &attemptError{code: batch.CodeCanceled, text: items.Error(), permanent: true}
}

// Permanent, Unavailable and RetryAfter are the errors of functions that workers makes.
type (
	// Permanent is an error of an item that is not retried.
	Permanent struct{ Err error }
	// Unavailable is an error of the function, whatever the item: the item goes to another worker.
	Unavailable struct{ Err error }
	// RetryAfter is an error of an item that is not retried before Pause has passed.
	RetryAfter struct {
		Err   error
		Pause time.Duration
	}
	// Failed is the error of a batch function: those of some items, by their index.
	Failed map[int]error
)

func (e *Permanent) Error() string { return e.Err.Error() }

// Unwrap returns the error of the function.
func (e *Permanent) Unwrap() error { return e.Err }

func (e *Unavailable) Error() string { return e.Err.Error() }

// Unwrap returns the error of the function.
func (e *Unavailable) Unwrap() error { return e.Err }

func (e *RetryAfter) Error() string { return e.Err.Error() }

// Unwrap returns the error of the function.
func (e *RetryAfter) Unwrap() error { return e.Err }

func (e Failed) Error() string { return fmt.Sprintf("%d items of the batch failed", len(e)) }

// count returns the number of items that failed.
func (e Failed) count() (n int) {
	for _, err := range e {
		if err != nil {
			n++
		}
	}
	return n
}

// stageEnded reports whether the context of a call has ended with its stage.
func stageEnded(ctx context.Context) bool {
	return ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrStageEnded)
}

// pauseOf returns how long an error asks to wait before the next attempt.
func pauseOf(err error) time.Duration {
	if later, ok := errors.AsType[*RetryAfter](err); ok {
		return later.Pause
	}
	return 0
}
