package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// A Func is a function and the codecs of its values. workers.Func has the same fields: convert
// between the two.
type Func[In, Out any] struct {
	erased *Function
	in     codec.Typed[In]
	out    codec.Typed[Out]
}

// A Function is a Func without its types.
type Function struct {
	Name    string
	Version string
	In, Out codec.Info
	Err     error         // first mistake of the definition
	New     func() Runner // returns a Runner for one slot, which keeps its buffers between batches; nil for a remote function
	Whole   bool          // a call is for a whole batch
	Filter  bool          // it is a predicate: In is Out, and an item may have no result
	FlatMap bool          // an item may have any number of results
	Sink    bool          // it is a FlatMap without results
	Links   []*Function   // of a chain, in their order; nil for a function
	Calls   string        // of a chain: its functions with their types; "" for a function

	Concurrency        int // calls at once in a worker; 0: any number
	MinItems, MaxItems int // that a call should have and may have; 0: not given
	MaxBytes           int // that a call may have; 0: not given

	Copies bool        // no decoded value refers to the frame that it came in
	Exits  atomic.Bool // a call has ended its goroutine
}

// A Definition is the options of a function.
type Definition struct {
	Version        string
	Codec          codec.Codec // nil: the default of each type
	DropUnexported bool        // unexported fields are not encoded
	Encoded        *Types      // of a function of items that are encoded already
	Err            error       // an option has a bad value

	MinItems, MaxItems, MaxBytes, Concurrency int
}

// Types are the types and codecs of a function.
type Types struct{ In, Out codec.Info }

// MaxCallBytes is the largest Definition.MaxBytes.
const MaxCallBytes = 64 << 20

var errNotDefined = errors.New("a workers.Func that was not made: make it with Define, DefineBatch or Remote")

// Define returns a function that f runs item by item.
func Define[In, Out any](name string, f func(context.Context, In) (Out, error), d Definition) Func[In, Out] {
	fn := Remote[In, Out](name, d)
	if d.MaxItems > 0 || d.MaxBytes > 0 {
		fn.erased.mistake(errors.New("BatchSize and BatchBytes are for DefineBatch: Define calls f for one item at a time"))
	}
	if f == nil {
		fn.erased.mistake(errors.New("Define got nil: pass the function, or use Remote for one that only the fleet holds"))
	}
	fn.erased.New = func() Runner { return newItemRunner(name, f, fn.in, fn.out) }
	return fn
}

// DefineBatch returns a function that f runs batch by batch.
func DefineBatch[In, Out any](name string, f func(context.Context, []In) ([]Out, error), d Definition) Func[In, Out] {
	fn := Remote[In, Out](name, d)
	if f == nil {
		fn.erased.mistake(errors.New("DefineBatch got nil: pass the function, or use Remote for one that only the fleet holds"))
	}
	fn.erased.Whole = true
	fn.erased.New = func() Runner { return newBatchRunner(name, f, fn.in, fn.out) }
	return fn
}

// DefineFilter returns a function that keeps the items for which keep returns true.
func DefineFilter[T any](name string, keep func(context.Context, T) (bool, error), d Definition) Func[T, T] {
	fn := RemoteFilter[T](name, d)
	if d.MaxItems > 0 || d.MaxBytes > 0 {
		fn.erased.mistake(errors.New("BatchSize and BatchBytes are for DefineBatch: DefineFilter calls keep for one item at a time"))
	}
	if keep == nil {
		fn.erased.mistake(errors.New("DefineFilter got nil: pass the function, or use RemoteFilter for one that only the fleet holds"))
	}
	fn.erased.New = func() Runner { return newFilterRunner(name, keep, fn.in) }
	return fn
}

// RemoteFilter returns a predicate that only other programs can run.
func RemoteFilter[T any](name string, d Definition) Func[T, T] {
	fn := Remote[T, T](name, d)
	fn.erased.Filter = true
	return fn
}

// DefineFlatMap returns a function that yields any number of outputs for an item.
func DefineFlatMap[In, Out any](name string, f func(context.Context, In, func(Out)) error, d Definition) Func[In, Out] {
	fn := RemoteFlatMap[In, Out](name, d)
	if d.MaxItems > 0 || d.MaxBytes > 0 {
		fn.erased.mistake(errors.New("BatchSize and BatchBytes are for DefineBatch: DefineFlatMap calls f for one item at a time"))
	}
	if f == nil {
		fn.erased.mistake(errors.New("DefineFlatMap got nil: pass the function, or use RemoteFlatMap for one that only the fleet holds"))
	}
	fn.erased.New = func() Runner { return newFlatMapRunner(name, f, fn.in, fn.out) }
	return fn
}

// RemoteFlatMap returns a function with any number of outputs that only other programs can run.
func RemoteFlatMap[In, Out any](name string, d Definition) Func[In, Out] {
	fn := Remote[In, Out](name, d)
	fn.erased.FlatMap = true
	return fn
}

// DefineSink returns a function without results that f runs item by item.
func DefineSink[T any](name string, f func(context.Context, T) error, d Definition) Func[T, struct{}] {
	fn := RemoteSink[T](name, d)
	if d.MaxItems > 0 || d.MaxBytes > 0 {
		fn.erased.mistake(errors.New("BatchSize and BatchBytes are for DefineBatchSink: DefineSink calls f for one item at a time"))
	}
	if f == nil {
		fn.erased.mistake(errors.New("DefineSink got nil: pass the function, or use RemoteSink for one that only the fleet holds"))
	}
	fn.erased.New = func() Runner { return newSinkRunner(name, f, fn.in) }
	return fn
}

// DefineBatchSink returns a function without results that f runs batch by batch.
func DefineBatchSink[T any](name string, f func(context.Context, []T) error, d Definition) Func[T, struct{}] {
	fn := RemoteSink[T](name, d)
	if f == nil {
		fn.erased.mistake(errors.New("DefineBatchSink got nil: pass the function, or use RemoteSink for one that only the fleet holds"))
	}
	fn.erased.Whole = true
	fn.erased.New = func() Runner { return newBatchSinkRunner(name, f, fn.in) }
	return fn
}

// RemoteSink returns a function without results that only other programs can run.
func RemoteSink[T any](name string, d Definition) Func[T, struct{}] {
	fn := remote[T, struct{}](name, d, nil) // a codec for T may have no form for struct{}
	fn.erased.FlatMap, fn.erased.Sink = true, true
	return fn
}

// Remote returns a function that only other programs can run.
func Remote[In, Out any](name string, d Definition) Func[In, Out] {
	return remote[In, Out](name, d, codecFor[Out](d))
}

func remote[In, Out any](name string, d Definition, ofOut codec.Codec) Func[In, Out] {
	fn := Func[In, Out]{erased: &Function{
		Name: name, Version: d.Version, MinItems: d.MinItems, MaxItems: d.MaxItems, MaxBytes: d.MaxBytes, Concurrency: d.Concurrency,
	}}
	var inErr, outErr error
	fn.in, inErr = codec.For[In](codecFor[In](d))
	fn.out, outErr = codec.For[Out](ofOut)
	fn.erased.In, fn.erased.Out, fn.erased.Copies = fn.in.Info(), fn.out.Info(), fn.in.Copies()
	wild := fn.erased.In.Wildcard() && fn.erased.Out.Wildcard()
	if d.Encoded != nil && wild {
		fn.erased.In, fn.erased.Out = d.Encoded.In, d.Encoded.Out
	}
	switch {
	case inErr != nil:
		fn.erased.mistake(fmt.Errorf("its input: %w", inErr))
	case outErr != nil:
		fn.erased.mistake(fmt.Errorf("its output: %w", outErr))
	case d.Encoded != nil && (!wild || d.Encoded.In.Wildcard() || d.Encoded.Out.Wildcard()):
		fn.erased.mistake(errors.New("a function of encoded items needs names for their types"))
	case d.Err != nil:
		fn.erased.mistake(d.Err)
	}
	if err := checkName(name); err != nil {
		fn.erased.Err = err
	}
	return fn
}

// Compose returns the functions of f and then those of g, as one that no worker runs by itself.
func Compose[A, B, C any](f Func[A, B], g Func[B, C]) Func[A, C] {
	first, second := f.Function(), g.Function()
	chain := &Function{Name: first.Name + "." + second.Name, In: first.In, Out: second.Out, Err: cmp.Or(first.Err, second.Err)}
	chain.Links, chain.Calls = slices.Concat(first.Chained(), second.Chained()), first.calls()+second.calls()
	if between, takes := first.Out, second.In; between != takes && !between.Wildcard() && !takes.Wildcard() {
		chain.mistake(fmt.Errorf("%w: %q returns %v, and %q takes %v", codec.ErrTypeMismatch, first.Name, between, second.Name, takes))
	}
	return Func[A, C]{erased: chain, in: f.in, out: g.out}
}

// calls names the functions of a chain, or the function itself, with their types.
func (f *Function) calls() string {
	if f.Links == nil {
		return fmt.Sprintf("%s %v %v\n", f.Name, f.In, f.Out)
	}
	return f.Calls
}

// Chained returns the functions of a chain, or the function itself.
func (f *Function) Chained() []*Function {
	if f.Links == nil {
		return []*Function{f}
	}
	return f.Links
}

// Function returns the function without its types.
func (f Func[In, Out]) Function() *Function {
	if f.erased == nil {
		return &Function{Err: errNotDefined}
	}
	return f.erased
}

// Codecs returns the codecs of the inputs and the outputs.
func (f Func[In, Out]) Codecs() (in codec.Typed[In], out codec.Typed[Out]) { return f.in, f.out }

// codecFor returns the codec of a definition for values of type T, nil for the default.
func codecFor[T any](d Definition) codec.Codec {
	if d.DropUnexported {
		return codec.DropUnexported(d.Codec, reflect.TypeFor[T]())
	}
	return d.Codec
}

// mistake keeps the first error of a definition.
func (f *Function) mistake(err error) {
	f.Err = cmp.Or(f.Err, fmt.Errorf("function %q: %w", f.Name, err))
}

var goodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func checkName(name string) error {
	if goodName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("function name %.80q: use 1 to 64 of the characters A-Z a-z 0-9 . _ -", name)
}
