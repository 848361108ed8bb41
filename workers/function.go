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

// Function is a Func of any types.
type Function interface {
	// Name returns the name that the fleet knows the function by.
	Name() string
	// Err returns the first mistake in the definition, nil if there is none.
	Err() error
	erased() *runner.Function
}

// Define makes a function of f, which is called for one item at a time, by
// several goroutines at once. The name is 1 to 64 of the letters and digits of
// ASCII and of ". _ -"; worker and caller have to use the same name and types.
//
// Define never panics: a bad name, a nil f and a type that the codec cannot
// carry (ErrTypeMismatch) are the error of Err, and the function is refused where it is used.
// Strings and []byte travel as they are, everything else as JSON; see
// WithCodec.
//
// Where f returns an error, panics, calls runtime.Goexit (as FailNow of a test
// does) or exceeds its timeout, the item becomes a failure in the place of the
// result, with the text of the error. So does a result that cannot be encoded
// or has more than 64 MiB.
//
// The context of f ends when the timeout of the item has passed, when its future is
// canceled, within two seconds after its stage was removed or replaced, and when the worker
// has to stop at once. f should watch it: a call ends in no other way. If f has a timeout and does not return within half a
// second after the end of its context, the item fails, and f is left behind: its slot goes on, its worker warns and
// counts it, and its results are dropped. Without a timeout, a worker warns of a
// function that does not return within 5 seconds. An error that f returns after
// its timeout is a timeout, a result counts. What f returns after its stage has ended is
// dropped. A call that ends because the worker stops or the stage is replaced is made again,
// as is one whose worker dies: f has to bear being called twice for an item.
func Define[In, Out any](name string, f func(context.Context, In) (Out, error), opts ...DefineOption) Func[In, Out] {
	return Func[In, Out](runner.Define(name, f, definition(opts)))
}

// DefineBatch makes a function of f, which is called for consecutive items of a stream: at
// least one, in their order, without those that have failed already. It returns one result
// for each, in the same order; any other number fails all of them. The slice is f's own.
//
// The worker finds how many items a call should get by the items a second that calls of
// different sizes bring, up to 65,536 items and 1 MiB of their encoded bytes. It starts
// with at most 16 items. A call gets fewer items if fewer are there. See BatchSize and BatchBytes.
//
// An error of f that is or wraps an Errors fails the items that it names; any
// other error, a panic and a timeout fail all items of the call. Where failed
// items are tried again, f is called with these only, and each call is for at most 1,024
// items.
//
// The timeout of a call is that of one item times the number of items. All else
// is as for Define.
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

// Remote makes a handle for a function that only the fleet holds: the caller
// can use it, a worker cannot run it. Name, types and codec have to be those of
// the definition. Mistakes are told as by Define.
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

// DefineOption changes what Define, DefineBatch and Remote make.
type DefineOption interface{ applyDefine(*runner.Definition) }

// BatchSize bounds the number of items in a call of a function made by DefineBatch. No call
// gets more than max items. min is a wish: above 1, a call waits up to 25 ms for so many items,
// longer on a busy machine, and the bound of BatchBytes holds. Without BatchSize the worker
// finds the number. min must be at least 1 and max at least min;
// otherwise Err returns an error.
func BatchSize(min, max int) DefineOption { return batchSize{min, max} }

type batchSize struct{ min, max int }

func (b batchSize) applyDefine(d *runner.Definition) {
	if d.MinItems, d.MaxItems = b.min, b.max; b.min < 1 || b.max < b.min {
		d.Err = fmt.Errorf("BatchSize(%d, %d): min must be at least 1, and max at least min", b.min, b.max)
	}
}

// BatchBytes bounds the encoded bytes of the items in a call of a function made by
// DefineBatch. A single item may have more. The default is 1 MiB. It must be from 1 to
// 64 MiB; otherwise Err returns an error.
func BatchBytes(max int) DefineOption { return batchBytes(max) }

type batchBytes int

func (b batchBytes) applyDefine(d *runner.Definition) {
	if d.MaxBytes = int(b); b < 1 || b > runner.MaxCallBytes {
		d.Err = fmt.Errorf("BatchBytes(%d): it must be from 1 to %d", int(b), runner.MaxCallBytes)
	}
}

// Version names the behavior of a function, for example by a release or a hash. It travels with the function: Functions
// of an Executor lists each version, and workers and callers warn of two under one name, since the results of both mix. The
// default is none.
func Version(version string) DefineOption { return versionOption(version) }

type versionOption string

func (v versionOption) applyDefine(d *runner.Definition) { d.Version = string(v) }
