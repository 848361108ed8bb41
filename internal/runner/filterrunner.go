package runner

import (
	"context"
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// filterRunner keeps the items of a batch for which a function returns true. The others have no
// result: their offsets stay in the batch, without an item. A kept item has the bytes that it came in.
type filterRunner[T any] struct {
	verdicts *itemRunner[T, bool] // runs the function, one verdict for each item
	kept     column[T]
	own      []int32 // memory for positions
}

func newFilterRunner[T any](name string, keep func(context.Context, T) (bool, error), of codec.Typed[T]) *filterRunner[T] {
	verdict, err := codec.For[bool](nil)
	if err != nil {
		panic("runner: bool has a codec: " + err.Error())
	}
	r := &filterRunner[T]{verdicts: newItemRunner(name, keep, of, verdict)}
	r.kept.codec = of
	return r
}

func (r *filterRunner[T]) Run(ctx context.Context, c Call) Result {
	r.kept.clear()
	hold := c.Hold
	c.Hold = true
	got := r.verdicts.Run(ctx, c)
	if got.Held == nil { // it is malformed, all its items are lost, or none was run
		return got
	}
	got.Held = nil
	r.kept.counted, r.kept.offsets = true, got.N
	switch {
	case !r.kept.codec.Faithful():
		frame := r.keepItems(c.Memory)
		got.Frame = batch.AppendCounts(frame, r.kept.positions, 0, got.N)
	case hold:
		r.keepValues()
		got.Held = &r.kept
	default:
		r.keepValues()
		got.Frame = r.kept.Encode(0, got.N, c.Memory)
	}
	return got
}

func (r *filterRunner[T]) Release() {
	r.verdicts.Release()
	r.kept.clear()
}

// keepValues keeps the values whose verdict is true, and all failures.
func (r *filterRunner[T]) keepValues() {
	said, in := &r.verdicts.out.column, &r.verdicts.in
	items, n, from := len(said.values), 0, 0
	values, positions := slices.Grow(r.kept.values, items)[:items], slices.Grow(emptied(r.own), items)[:items]
	for _, h := range append(said.failures[:len(said.failures):len(said.failures)], failedItem{index: items}) {
		n += keepSpan(values[n:], positions[n:], in.values[from:h.index], said.values[from:h.index], from)
		if from = h.index + 1; h.index < items {
			values[n], positions[n] = *new(T), int32(h.index)
			r.kept.failures = append(r.kept.failures, failedItem{index: n, failure: h.failure})
			n++
		}
	}
	clear(values[n:min(n+1, items)]) // keepSpan may have written one more
	r.kept.values = values[:n]
	r.own = positions[:n]
	r.place()
}

// keepSpan copies the values whose verdict is true, with their indexes, the first of which is from. It
// may write one more. It returns their number.
func keepSpan[T any](values []T, positions []int32, of []T, verdicts []bool, from int) (n int) {
	of = of[:len(verdicts)]
	for i, keep := range verdicts { // without a branch, since verdicts are hard to predict
		values[n], positions[n] = of[i], int32(from+i)
		one := 0
		if keep {
			one = 1
		}
		n += one
	}
	return n
}

// place turns the indexes of the kept items into positions.
func (r *filterRunner[T]) place() {
	if in := &r.verdicts.in; in.counted {
		for i, at := range r.own {
			r.own[i] = in.positions[at]
		}
	}
	r.kept.positions = r.own
}

// keepItems returns a frame of the items whose verdict is true, and of all failures, without counts.
func (r *filterRunner[T]) keepItems(memory *batch.Memory) []byte {
	said := &r.verdicts.out.column
	frame := r.verdicts.in.batch.Frame
	reader := batch.Read(frame)
	var b batch.Builder
	b.Use(memory.Get(len(frame)))
	r.own = emptied(r.own)
	failures := said.failures
	for i, keep := range said.values {
		item, _, _ := reader.Next()
		switch {
		case len(failures) > 0 && failures[0].index == i:
			b.EndFailure(append(b.Begin(), failures[0].failure...))
			failures = failures[1:]
		case keep:
			b.Value(item)
		default:
			continue
		}
		r.own = append(r.own, int32(i))
	}
	r.place()
	return fitted(b.Take(), memory)
}
