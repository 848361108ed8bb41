package workers

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/runner"
)

// Func is a function that a fleet runs, or a handle for one. Define, Define2, DefineBatch and Remote
// return it. It is a value, safe for concurrent use.
type Func[In, Out any] runner.Func[In, Out]

// Function is a Func, a Predicate, a FlatFunc or a Sink of any types.
type Function interface {
	// Name returns the name that the fleet knows the function by.
	Name() string
	// Err returns the first mistake in the definition, nil if there is none.
	Err() error
	erased() *runner.Function
}

// Define returns a function that calls f for one item at a time, from several goroutines at once.
// The name has 1 to 64 of the characters A-Z a-z 0-9 . _ -. Worker and caller have to use the same
// name and types.
//
// Define never panics. A bad name, a nil f and a type that the codec cannot carry are the error of
// Err (executor.ErrTypeMismatch for the last), and every call that gets the function returns that
// error. Strings and []byte travel without encoding, and values of all other types as JSON; see
// WithCodec.
//
// If f returns an error, panics, calls runtime.Goexit (as FailNow of a test does) or exceeds its
// timeout, a failure with the text of the error takes the place of the result. The same happens to
// a result that cannot be encoded or has more than 64 MiB.
//
// The context of f ends after the timeout of the item, when its future is canceled, within two
// seconds after its stage was removed or replaced, and when the worker has to stop at once. f has
// to return then; Go has no other way to end a call. If f has a timeout and does not return within
// half a second after the end of its context, the item fails and f is left behind: its slot goes
// on, the worker warns of it and counts it, and its results are dropped. Without a timeout, the
// worker warns of a function that does not return within 5 seconds. An error that f returns after
// its timeout is a timeout, and a result is a result. Results that f returns after the end of its
// stage are dropped. A call that ends because the worker stops or the stage is replaced is
// repeated, and so is one whose worker dies.
func Define[In, Out any](name string, f func(context.Context, In) (Out, error), opts ...DefineOption) Func[In, Out] {
	return Func[In, Out](runner.Define(name, f, definition(opts)))
}

// DefineBatch returns a function that calls f for consecutive items of a stream: at least one, in
// their order, without items that have failed already. f returns one result for each item, in the
// same order. Any other number fails all of them. f owns the slice.
//
// The worker finds the number of items of a call by measuring the items a second of calls of
// different sizes, up to 65,536 items and 1 MiB of encoded bytes. It starts with at most 16 items.
// A call gets fewer items if fewer are there. BatchSize and BatchBytes set bounds.
//
// If the error of f is or wraps an Errors, it fails the items that the Errors names. Any other
// error, a panic and a timeout fail all items of the call. Retries call f with the failed items
// only, and each call then has at most 1,024 items.
//
// The timeout of a call is that of one item times the number of items. Everything else is as for
// Define.
func DefineBatch[In, Out any](name string, f func(context.Context, []In) ([]Out, error), opts ...DefineOption) Func[In, Out] {
	var batches func(context.Context, []In) ([]Out, error)
	if f != nil {
		batches = func(ctx context.Context, values []In) ([]Out, error) {
			results, err := f(ctx, values)
			return results, itemErrors(err)
		}
	}
	return Func[In, Out](runner.DefineBatch(name, batches, definition(opts)))
}

// Remote returns a handle for a function that other programs define: callers use it, and a worker
// refuses to run it. Name, types and codec have to be those of the definition. Err returns
// mistakes, as for Define.
func Remote[In, Out any](name string, opts ...DefineOption) Func[In, Out] {
	return Func[In, Out](runner.Remote[In, Out](name, definition(opts)))
}

// definition applies options.
func definition(opts []DefineOption) (d runner.Definition) {
	var noOption error
	for _, opt := range opts {
		if opt == nil {
			noOption = errors.New("one of its options is nil")
			continue
		}
		opt.applyDefine(&d)
	}
	d.Err = cmp.Or(noOption, d.Err)
	return d
}

// Name returns the name that the fleet knows the function by.
func (f Func[In, Out]) Name() string { return f.erased().Name }

// Err returns the error of the definition, nil if there is none.
func (f Func[In, Out]) Err() error { return f.erased().Err }

func (f Func[In, Out]) erased() *runner.Function { return runner.Func[In, Out](f).Function() }

// DefineOption is an option of Define, Define2 and DefineBatch, of their relatives for filters, flat
// maps and sinks, and of the functions for handles, such as Remote. Concurrency is one too.
type DefineOption interface{ applyDefine(*runner.Definition) }

// BatchSize sets the number of items in a call of a function made by DefineBatch or DefineBatchSink. No
// call gets more than max items. If min is above 1, a call waits up to 25 ms for min items, longer on a busy
// machine, within the bound of BatchBytes. By default the worker finds the number. min must be at
// least 1 and max at least min; otherwise Err returns an error.
func BatchSize(min, max int) DefineOption { return batchSize{min, max} }

type batchSize struct{ min, max int }

func (b batchSize) applyDefine(d *runner.Definition) {
	if d.MinItems, d.MaxItems = b.min, b.max; b.min < 1 || b.max < b.min {
		d.Err = fmt.Errorf("BatchSize(%d, %d): min must be at least 1, and max at least min", b.min, b.max)
	}
}

// BatchBytes bounds the encoded bytes of the items in a call of a function made by DefineBatch or
// DefineBatchSink. A single item may have more. The default is 1 MiB. max must be from 1 to 64 MiB; otherwise Err
// returns an error.
func BatchBytes(max int) DefineOption { return batchBytes(max) }

type batchBytes int

func (b batchBytes) applyDefine(d *runner.Definition) {
	if d.MaxBytes = int(b); b < 1 || b > runner.MaxCallBytes {
		d.Err = fmt.Errorf("BatchBytes(%d): it must be from 1 to %d", int(b), runner.MaxCallBytes)
	}
}

// Version names the behavior of a function, for example by a release or a hash. Executor.Functions
// lists each version. Workers and callers warn of two versions under one name, since their results
// mix. The default is no version.
func Version(version string) DefineOption { return versionOption(version) }

type versionOption string

func (v versionOption) applyDefine(d *runner.Definition) { d.Version = string(v) }
