package workers

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// Predicate is a function that a fleet runs to keep some items of a queue, or a handle for one, see
// flow.Filter. DefineFilter and RemoteFilter return it. It is a value, safe for concurrent use.
type Predicate[T any] runner.Func[T, T]

// DefineFilter returns a predicate that calls keep for one item at a time, from several goroutines at
// once. An item for which keep returns true goes on as it is: its bytes are not encoded again. An item
// for which it returns false has no result. If keep returns an error, panics or exceeds its timeout, a
// failure takes the place of the item. Everything else is as for Define.
func DefineFilter[T any](name string, keep func(context.Context, T) (bool, error), opts ...DefineOption) Predicate[T] {
	return Predicate[T](runner.DefineFilter(name, keep, definition(opts)))
}

// RemoteFilter returns a handle for a predicate that other programs define, as Remote does for a
// function.
func RemoteFilter[T any](name string, opts ...DefineOption) Predicate[T] {
	return Predicate[T](runner.RemoteFilter[T](name, definition(opts)))
}

// Name returns the name that the fleet knows the predicate by.
func (p Predicate[T]) Name() string { return p.erased().Name }

// Err returns the error of the definition, nil if there is none.
func (p Predicate[T]) Err() error { return p.erased().Err }

func (p Predicate[T]) erased() *runner.Function { return runner.Func[T, T](p).Function() }
