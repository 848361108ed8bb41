package runner

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// sinkRunner runs a function without results. The offsets of its inputs stay in the batch, without an
// item, except those of failures.
type sinkRunner struct {
	calls Runner  // runs the function, with results of type struct{} that stay values
	own   []int32 // memory for positions
}

func newSinkRunner[T any](name string, f func(context.Context, T) error, in codec.Typed[T]) *sinkRunner {
	return &sinkRunner{calls: newItemRunner(name, func(ctx context.Context, v T) (none struct{}, err error) {
		return none, f(ctx, v)
	}, in, codec.Local[struct{}](nil))}
}

func newBatchSinkRunner[T any](name string, f func(context.Context, []T) error, in codec.Typed[T]) *sinkRunner {
	return &sinkRunner{calls: newBatchRunner(name, func(ctx context.Context, values []T) ([]struct{}, error) {
		n := len(values)
		return make([]struct{}, n), f(ctx, values)
	}, in, codec.Local[struct{}](nil))}
}

func (r *sinkRunner) Run(ctx context.Context, c Call) Result {
	c.Hold = true
	got := r.calls.Run(ctx, c)
	said, ok := got.Held.(*column[struct{}])
	if !ok { // it is malformed, all its items are lost, or none was run
		return got
	}
	var b batch.Builder
	r.own = emptied(r.own)
	for _, h := range said.failures {
		at := int32(h.index)
		if said.counted {
			at = said.positions[h.index]
		}
		b.EndFailure(append(b.Begin(), h.failure...))
		r.own = append(r.own, at)
	}
	got.Held, got.Frame = nil, batch.AppendCounts(b.Take(), r.own, 0, got.N)
	return got
}

func (r *sinkRunner) Release() { r.calls.Release() }
