package workers

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// Sink is a function without results that a fleet runs, or a handle for one, see flow.Each. DefineSink,
// DefineBatchSink and RemoteSink return it. It is a value, safe for concurrent use.
type Sink[T any] runner.Func[T, struct{}]

// DefineSink returns a function that calls f for one item at a time, from several goroutines at once. If
// f returns an error, panics or exceeds its timeout, the item fails. Otherwise it has no result.
//
// A worker that dies may have called f for items whose end it has not reported: other workers call f for
// them again. So f must have the same effect if it is called twice for an item, as with a key made of the
// source and the offset, see ItemFrom. Everything else is as for Define.
func DefineSink[T any](name string, f func(context.Context, T) error, opts ...DefineOption) Sink[T] {
	return Sink[T](runner.DefineSink(name, f, definition(opts)))
}

// DefineBatchSink returns a function that calls f for consecutive items of a stream, as DefineBatch does,
// for example to insert them in one statement. If the error of f is or wraps an Errors, it fails the items
// that the Errors names. Any other error, a panic and a timeout fail all items of the call.
func DefineBatchSink[T any](name string, f func(context.Context, []T) error, opts ...DefineOption) Sink[T] {
	var batches func(context.Context, []T) error
	if f != nil {
		batches = func(ctx context.Context, values []T) error { return itemErrors(f(ctx, values)) }
	}
	return Sink[T](runner.DefineBatchSink(name, batches, definition(opts)))
}

// RemoteSink returns a handle for a sink that other programs define, as Remote does for a function.
func RemoteSink[T any](name string, opts ...DefineOption) Sink[T] {
	return Sink[T](runner.RemoteSink[T](name, definition(opts)))
}

// Name returns the name that the fleet knows the sink by.
func (s Sink[T]) Name() string { return s.erased().Name }

// Err returns the error of the definition, nil if there is none.
func (s Sink[T]) Err() error { return s.erased().Err }

func (s Sink[T]) erased() *runner.Function { return runner.Func[T, struct{}](s).Function() }
