package workers

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/worker"
)

// A Call describes one call of a function to its middleware.
type Call struct {
	// Item is the item that the function gets; for a batch function, the first one of the call.
	Item
	// Stage is the stage that the call belongs to, as dqbridge stages lists it.
	Stage string
	// Function is the name of the function.
	Function string
	// Items is the number of items: 1, or the length of the slice that a batch function gets.
	Items int

	whole  bool
	ticket runner.Ticket
}

// A Handler runs one call of a function. It is the function itself, or a middleware around it. All
// slots of a worker use the same Handler at once.
//
// The error of a Handler is that of the function, or another one in its place: Permanent, RetryAfter
// and Unavailable have their meaning, and in a call of a batch function an Errors names single items.
// nil is for a function that has succeeded. It does not turn an error of the function into a result:
// the item fails with that error.
//
// A Handler that is a middleware follows these rules:
//
//   - It calls next once, with the Call that it got and with its context or one derived from it. If
//     it does not call next, it returns an error; otherwise the item fails. A second call of next in
//     the same attempt returns an error and fails the item; the function does not run again.
//   - It returns after next. If it calls next in a goroutine and returns nil before it, the item
//     fails. The slot waits for the function in any case. After the return of the Handler, next
//     returns an error, and the function does not run.
//   - Its panic and its runtime.Goexit fail the item like those of the function. Those of the
//     function pass through the Handler, which sees them in its deferred functions and may recover a
//     panic. If it calls next in another goroutine, next returns a panic of the function as an
//     error. A panic that such a goroutine causes itself ends the program, as in any Go program.
type Handler func(ctx context.Context, call Call) error

// Use adds a middleware: a Handler around each call of a function, for tracing, logs, metrics and
// deadlines of the program. The first Use is the outermost one. New calls middleware once, with the
// Handler inside of it, and returns an error if middleware is nil, panics or returns nil. The
// default is no middleware.
//
// It applies to all functions of the worker, also to those that Register adds, and to each of fused
// stages. executor.Use is the same for the functions of an Executor. A call is one attempt of one
// item, or of the items of a batch function. Items that failed in an earlier stage and items that
// cannot be decoded have no call. Values are encoded after the call, so a Handler does not see the
// error of a result that cannot be encoded.
//
// The context ends as Define says. If the function of a stage with a timeout does not return in
// time, the item fails and the Handler is left behind with the function: it returns later, and its
// error is dropped. The time of the middleware counts as time of the function.
//
// A call with a middleware costs some 150 ns more than one without, and no allocation, beside the
// work of the middleware: BenchmarkRun in internal/runner.
func Use(middleware func(next Handler) Handler) Option {
	return func(o *worker.Options) error {
		if middleware == nil {
			return errors.New("workers: Use(nil): pass a function")
		}
		o.Middleware = append(o.Middleware, func(next runner.Handler) (runner.Handler, error) {
			return wrap(middleware, next)
		})
		return nil
	}
}

// wrap calls a middleware with the Handler inside of it, and returns the Handler that it makes.
func wrap(middleware func(next Handler) Handler, next runner.Handler) (wrapped runner.Handler, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("workers: the function of Use has panicked: %v", r)
		}
	}()
	around := middleware(func(ctx context.Context, c Call) error {
		return publicErrors(next(ctx, runner.Invocation{
			Item: runner.Item(c.Item), Stage: c.Stage, Function: c.Function, Items: c.Items, Whole: c.whole, Ticket: c.ticket,
		}))
	})
	if around == nil {
		return nil, errors.New("workers: the function of Use has returned nil: return a Handler, or next")
	}
	return func(ctx context.Context, in runner.Invocation) error {
		err := around(ctx, Call{
			Item: Item(in.Item), Stage: in.Stage, Function: in.Function, Items: in.Items, whole: in.Whole, ticket: in.Ticket,
		})
		if err == nil || !in.Whole {
			return err
		}
		return itemErrors(err)
	}, nil
}
