package executor

import (
	"context"
	"errors"
	"fmt"
)

// Errors of arguments that an exported call cannot use.
var (
	errNoExecutor  = errors.New("the Executor is nil or a zero value: make it with executor.New")
	errNoInspector = errors.New("the Inspector is nil or a zero value: make it with executor.NewInspector")
	errNoQueue     = errors.New("the Queue is nil or a zero value: bridge.Scatter, executor.Map and executor.Open return one")
	errNoFuture    = errors.New("the Future is nil or a zero value: executor.Submit and executor.MapSlice return one")
	errNoContext   = errors.New("the context is nil: pass that of the caller, or context.Background()")
	errNoOption    = errors.New("an option is nil")
)

// begin starts an exported call, which its errors name unless the name is empty. It checks what the
// call was given, and returns a context that ends with ctx and with Close. Defer end with the address
// of the call's error: it becomes ErrClosed if Close ended the call, and Close waits for it until then.
func (t *lifecycle) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	if ctx == nil {
		return nil, nil, named(call, errNoContext)
	}
	bound, release, err := t.bind(ctx)
	if err != nil {
		return nil, nil, named(call, err)
	}
	return bound, func(failed *error) {
		if *failed != nil && errors.Is(context.Cause(bound), ErrClosed) && !errors.Is(*failed, ErrClosed) {
			*failed = named(call, ErrClosed)
		}
		release()
	}, nil
}

func (ex *Executor) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	if err := ex.check(call); err != nil {
		return nil, nil, err
	}
	return ex.tasks.begin(ctx, call)
}

// check returns an error if New has not made the Executor.
func (ex *Executor) check(call string) error {
	if ex == nil || ex.mailbox == nil {
		return named(call, errNoExecutor)
	}
	return nil
}

func (q *Queue[T]) begin(ctx context.Context, call string) (bound context.Context, end func(*error), err error) {
	if err := q.check(call); err != nil {
		return nil, nil, err
	}
	return q.ex.tasks.begin(ctx, call)
}

// check returns an error if the queue is not one that a call of this module has returned.
func (q *Queue[T]) check(call string) error {
	if q == nil || q.ex == nil {
		return named(call, errNoQueue)
	}
	return nil
}

func named(call string, err error) error {
	if call == "" {
		return err
	}
	return fmt.Errorf("%s: %w", call, err)
}
