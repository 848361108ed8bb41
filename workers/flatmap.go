package workers

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// FlatFunc is a function with any number of outputs for an input that a fleet runs, or a handle for one,
// see flow.FlatMap. DefineFlatMap and RemoteFlatMap return it. It is a value, safe for concurrent use.
type FlatFunc[In, Out any] runner.Func[In, Out]

// DefineFlatMap returns a function that calls f for one item at a time, from several goroutines at once.
// f passes each output to yield, in their order, and returns when it has passed the last one. It may
// pass none. yield does not block. Only one goroutine may call it at a time, and none after f has
// returned.
//
// No output is delivered before f has returned. If f returns an error, panics or exceeds its timeout,
// one failure takes the place of all outputs for the item. With Retries, f runs again for the item. The
// worker holds the outputs for an item in memory: at most 64 MiB of encoded items, and 8,388,608
// outputs; a number or a bool counts as 25 bytes. Beyond that, the item fails with the code "toolarge".
// Everything else is as for Define.
func DefineFlatMap[In, Out any](name string, f func(ctx context.Context, in In, yield func(Out)) error, opts ...DefineOption) FlatFunc[In, Out] {
	return FlatFunc[In, Out](runner.DefineFlatMap(name, f, definition(opts)))
}

// RemoteFlatMap returns a handle for a function that other programs define by DefineFlatMap, as Remote
// does for one of Define.
func RemoteFlatMap[In, Out any](name string, opts ...DefineOption) FlatFunc[In, Out] {
	return FlatFunc[In, Out](runner.RemoteFlatMap[In, Out](name, definition(opts)))
}

// Name returns the name that the fleet knows the function by.
func (f FlatFunc[In, Out]) Name() string { return f.erased().Name }

// Err returns the error of the definition, nil if there is none.
func (f FlatFunc[In, Out]) Err() error { return f.erased().Err }

func (f FlatFunc[In, Out]) erased() *runner.Function { return runner.Func[In, Out](f).Function() }
