package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

const (
	// maxGroupItems bounds the outputs for one input, so that a batch of them is valid. Their bytes are
	// bounded by batch.MaxItem.
	maxGroupItems = batch.MaxItems / 2
	// largeGroupBytes is the number of bytes that a large group counts as, at least: each becomes an entry
	// of its own, or several, so that a few of them fill a result.
	largeGroupBytes = batch.MaxBytes / 32
)

// flatMapRunner collects the outputs that a function yields for each item. Those of one item have its
// position. A failed item has its failure as the only output.
type flatMapRunner[In, Out any] struct {
	calls  *itemRunner[In, *group[Out]] // runs the function, one group of outputs for each item
	made   column[Out]
	own    []int32   // memory for positions
	unused sync.Pool // of *group: a call that is left behind keeps its own
}

// A group is the outputs for one item, as values if the codec gives each value back unchanged, and
// otherwise in a frame. It has no outputs beyond its bounds.
type group[Out any] struct {
	codec  codec.Typed[Out]
	yield  func(Out) // adds an output
	values []Out
	open   batch.Builder
	n      int // outputs, also those beyond the bounds
	size   int // about their bytes in a frame
	err    *attemptError
}

func newFlatMapRunner[In, Out any](
	name string, f func(context.Context, In, func(Out)) error, in codec.Typed[In], out codec.Typed[Out],
) *flatMapRunner[In, Out] {
	r := &flatMapRunner[In, Out]{}
	r.made.codec = out
	r.unused.New = func() any {
		g := &group[Out]{codec: out}
		g.yield = g.add
		return g
	}
	r.calls = newItemRunner(name, func(ctx context.Context, v In) (*group[Out], error) {
		g := r.unused.Get().(*group[Out])
		err := f(ctx, v, g.yield)
		if err == nil && g.err == nil {
			return g, nil
		}
		if err == nil {
			err = &crashError{g.err}
		}
		g.reset()
		r.unused.Put(g)
		return nil, err
	}, in, codec.Local((*group[Out]).bytes))
	return r
}

// bytes returns the bytes that the group counts as, 0 for none: a failure stands in its place.
func (g *group[Out]) bytes() int {
	if g.n > batch.MaxGroup {
		return min(max(g.size, largeGroupBytes), batch.MaxItem)
	}
	return g.size
}

func (g *group[Out]) add(v Out) {
	g.n++
	switch {
	case g.err != nil:
	case g.codec.Faithful():
		if g.size += g.codec.Size(v) + 1; g.bounded() {
			g.values = append(g.values, v)
		}
	default:
		g.encode(v)
	}
}

func (g *group[Out]) encode(v Out) {
	buf, err := g.codec.Append(g.open.Begin(), v)
	if err != nil {
		g.open.Abort(buf)
		text, stack := batch.Describe(err)
		g.err = &attemptError{code: batch.CodeEncode, stack: stack, permanent: true, text: fmt.Sprintf("an output cannot be encoded as %s: "+
			"yield what the codec can hold, or define the function with another: %s", g.codec.Info(), text)}
		return
	}
	g.open.End(buf)
	g.size = g.open.Size()
	g.bounded()
}

// bounded reports whether the outputs are within their bounds. Beyond them, it drops all outputs.
func (g *group[Out]) bounded() bool {
	if g.size <= batch.MaxItem && g.n <= maxGroupItems {
		return true
	}
	g.err = &attemptError{code: batch.CodeTooLarge, permanent: true, text: fmt.Sprintf("the outputs for one input are above the bound of %d MiB "+
		"and %d outputs: yield fewer or smaller ones, or store them and yield where", batch.MaxItem>>20, maxGroupItems)}
	g.values, g.open = nil, batch.Builder{}
	return false
}

func (g *group[Out]) reset() {
	g.values = emptied(g.values)
	g.open.Reset()
	g.n, g.size, g.err = 0, 0, nil
}

func (r *flatMapRunner[In, Out]) Run(ctx context.Context, c Call) Result {
	r.made.clear()
	hold := c.Hold
	c.Hold = true
	got := r.calls.Run(ctx, c)
	if got.Held == nil { // it is malformed, all its items are lost, or none was run
		return got
	}
	got.Held = nil
	r.made.counted, r.made.offsets = true, got.N
	faithful := r.made.codec.Faithful()
	if !faithful {
		got.Frame = r.collectItems(c.Memory)
	} else {
		r.collectValues()
	}
	switch {
	case !faithful:
		got.Frame = batch.AppendCounts(got.Frame, r.made.positions, 0, got.N)
	case hold:
		got.Held = &r.made
	default:
		got.Frame = r.made.Encode(0, got.N, c.Memory)
	}
	return got
}

func (r *flatMapRunner[In, Out]) Release() {
	r.calls.Release()
	r.made.clear()
}

// place adds the positions of n outputs for the i-th item.
func (r *flatMapRunner[In, Out]) place(i, n int) {
	at := int32(i)
	if in := &r.calls.in; in.counted {
		at = in.positions[i]
	}
	for range n {
		r.own = append(r.own, at)
	}
}

// collectValues collects the outputs and the failures as values.
func (r *flatMapRunner[In, Out]) collectValues() {
	r.each(func(failure []byte) {
		r.made.failures = append(r.made.failures, failedItem{index: len(r.made.values), failure: failure})
		r.made.values = append(r.made.values, *new(Out))
	}, func(g *group[Out]) { r.made.values = append(r.made.values, g.values...) })
}

// collectItems returns a frame of the outputs and the failures, without counts.
func (r *flatMapRunner[In, Out]) collectItems(memory *batch.Memory) []byte {
	size := 1
	for _, g := range r.calls.out.values {
		if g != nil {
			size += g.size
		}
	}
	var b batch.Builder
	b.Use(memory.Get(size))
	r.each(func(failure []byte) { b.EndFailure(append(b.Begin(), failure...)) }, func(g *group[Out]) {
		b.Fill(g.n, func(dst []byte) []byte { return append(dst, g.open.Frame()[1:]...) })
	})
	return fitted(b.Take(), memory)
}

// each calls fail for each failed item, and add for each item with outputs, in their order, and sets the
// positions.
func (r *flatMapRunner[In, Out]) each(fail func(failure []byte), add func(g *group[Out])) {
	said := &r.calls.out.column
	failures := said.failures
	r.own = emptied(r.own)
	for i, g := range said.values {
		switch {
		case len(failures) > 0 && failures[0].index == i:
			fail(failures[0].failure)
			failures = failures[1:]
			r.place(i, 1)
		case g == nil: // another attempt follows
		default:
			if g.n > 0 {
				add(g)
				r.place(i, g.n)
			}
			g.reset()
			r.unused.Put(g)
			said.values[i] = nil
		}
	}
	r.made.positions = slices.Clip(r.own)
}
