package workers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// Func is a function that a fleet runs, or a handle for one: Define,
// DefineBatch and Remote make it. It is a value, safe for concurrent use.
type Func[In, Out any] struct {
	erased *function
	in     codec.Typed[In]
	out    codec.Typed[Out]
}

// Function is a Func of any types.
type Function interface {
	// Name is the name that the fleet knows the function by.
	Name() string
	// Err is a mistake in the definition, nil where there is none.
	Err() error
	function() *function
}

// function is a Func without its types.
type function struct {
	name    string
	version string
	in, out codec.Info
	err     error
	// runner makes a runner for one slot, which keeps its buffers between
	// batches. It is nil for a function that only the fleet holds.
	runner func() runner
	// whole tells that a call is for a whole batch.
	whole bool
	// least and most are how many items a call should have and may have, 0 if that is not given.
	least, most int
	bytes       int // that a call may have, 0 if that is not given
	// copies tells that no value that came in refers to the frame it came in.
	copies bool
	// exits is set once a call has ended its goroutine.
	exits atomic.Bool
}

var errNotDefined = errors.New("a workers.Func that was not made: make it with Define, DefineBatch or Remote")

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
	fn := newFunc[In, Out](name, opts)
	if fn.erased.most > 0 || fn.erased.bytes > 0 {
		fn.erased.mistake(errors.New("BatchSize and BatchBytes are for DefineBatch: Define calls f for one item at a time"))
	}
	if f == nil {
		fn.erased.mistake(errors.New("Define got nil: pass the function, or use Remote for one that only the fleet holds"))
	}
	fn.erased.runner = func() runner { return newItemRunner(name, f, fn.in, fn.out) }
	return fn
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
	fn := newFunc[In, Out](name, opts)
	if f == nil {
		fn.erased.mistake(errors.New("DefineBatch got nil: pass the function, or use Remote for one that only the fleet holds"))
	}
	fn.erased.whole = true
	fn.erased.runner = func() runner { return newBatchRunner(name, f, fn.in, fn.out) }
	return fn
}

// Remote makes a handle for a function that only the fleet holds: the caller
// can use it, a worker cannot run it. Name, types and codec have to be those of
// the definition. Mistakes are told as by Define.
func Remote[In, Out any](name string, opts ...DefineOption) Func[In, Out] {
	return newFunc[In, Out](name, opts)
}

func newFunc[In, Out any](name string, opts []DefineOption) Func[In, Out] {
	var d definition
	var noOption error
	for _, opt := range opts {
		if opt == nil {
			noOption = errors.New("one of its options is nil")
			continue
		}
		opt.applyDefine(&d)
	}
	fn := Func[In, Out]{erased: &function{name: name}}
	var inErr, outErr error
	fn.in, inErr = codec.For[In](codecOf[In](d))
	fn.out, outErr = codec.For[Out](codecOf[Out](d))
	fn.erased.least, fn.erased.most, fn.erased.bytes = d.batch.min, d.batch.max, int(d.bytes)
	fn.erased.version = d.version
	fn.erased.in, fn.erased.out, fn.erased.copies = fn.in.Info(), fn.out.Info(), fn.in.Copies()
	wild := fn.erased.in.Wildcard() && fn.erased.out.Wildcard()
	if d.encoded != nil && wild {
		fn.erased.in, fn.erased.out = d.encoded.in, d.encoded.out
	}
	switch {
	case noOption != nil:
		fn.erased.mistake(noOption)
	case inErr != nil:
		fn.erased.mistake(fmt.Errorf("its input: %w", inErr))
	case outErr != nil:
		fn.erased.mistake(fmt.Errorf("its output: %w", outErr))
	case d.encoded != nil && (!wild || d.encoded.in.Wildcard() || d.encoded.out.Wildcard()):
		fn.erased.mistake(errors.New("Encoded needs a function of encoded items, and names for their types"))
	case d.wrong != nil:
		fn.erased.mistake(d.wrong)
	}
	if err := checkName(name); err != nil {
		fn.erased.err = err
	}
	return fn
}

// mistake keeps the first one.
func (f *function) mistake(err error) {
	f.err = cmp.Or(f.err, fmt.Errorf("function %q: %w", f.name, err))
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func checkName(name string) error {
	if goodName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("function name %.80q: use 1 to 64 of the characters A-Z a-z 0-9 . _ -", name)
}

// Name returns the name that the fleet knows the function by.
func (f Func[In, Out]) Name() string { return f.function().name }

// Err returns the error of the definition, nil if there is none.
func (f Func[In, Out]) Err() error { return f.function().err }

// Codecs returns the codecs of the inputs and the outputs. It is for the other
// packages of this module.
func (f Func[In, Out]) Codecs() (in codec.Typed[In], out codec.Typed[Out]) { return f.in, f.out }

func (f Func[In, Out]) function() *function {
	if f.erased == nil {
		return &function{err: errNotDefined}
	}
	return f.erased
}

// DefineOption changes what Define, DefineBatch and Remote make.
type DefineOption interface{ applyDefine(*definition) }

type definition struct {
	version string
	codec   Codec
	batch   batchSize
	bytes   batchBytes
	wrong   error // an option has a bad value
	drop    bool  // unexported fields may stay behind

	encoded *encoded // types of items that are encoded already
}

// BatchSize bounds the number of items in a call of a function made by DefineBatch. No call
// gets more than max items. min is a wish: above 1, a call waits up to 25 ms for so many items,
// longer on a busy machine, and the bound of BatchBytes holds. Without BatchSize the worker
// finds the number. min must be at least 1 and max at least min;
// otherwise Err returns an error.
func BatchSize(min, max int) DefineOption { return batchSize{min, max} }

type batchSize struct{ min, max int }

func (b batchSize) applyDefine(d *definition) {
	if d.batch = b; b.min < 1 || b.max < b.min {
		d.wrong = fmt.Errorf("BatchSize(%d, %d): min must be at least 1, and max at least min", b.min, b.max)
	}
}

// BatchBytes bounds the encoded bytes of the items in a call of a function made by
// DefineBatch. A single item may have more. The default is 1 MiB. It must be from 1 to
// 64 MiB; otherwise Err returns an error.
func BatchBytes(max int) DefineOption { return batchBytes(max) }

type batchBytes int

func (b batchBytes) applyDefine(d *definition) {
	if d.bytes = b; b < 1 || b > maxCallBytes {
		d.wrong = fmt.Errorf("BatchBytes(%d): it must be from 1 to %d", int(b), maxCallBytes)
	}
}

// Version names the behavior of a function, for example by a release or a hash. It travels with the function: Functions
// of an Executor lists each version, and workers and callers warn of two under one name, since the results of both mix. The
// default is none.
func Version(version string) DefineOption { return versionOption(version) }

type versionOption string

func (v versionOption) applyDefine(d *definition) { d.version = string(v) }

// codecOf returns the codec of a definition for values of type T, nil for the default.
func codecOf[T any](d definition) Codec {
	if d.drop {
		return codec.DropUnexported(d.codec, reflect.TypeFor[T]())
	}
	return d.codec
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
