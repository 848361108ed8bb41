// Package flow has the operators of a flow that have no, one or several results for an input, beside
// executor.Map, which has one.
//
// Each input has exactly the outputs that its functions returned for it, once, in its place, or one
// error in that place.
package flow

import (
	"context"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/workers"
)

// Filter makes a stage over q and returns its out-queue: workers call f for every item of q and add
// those for which it returns true, as they are and in their order. An item that has failed goes to
// the out-queue without a call of f, and an error of f is an error in the place of the item. The
// stream ends when that of q does, also if no item is left.
//
// The other items have no result. They still count as inputs: a gather accounts for each of them, so
// that MaxInFlight and the loss of items work as without a filter. Each run of them costs 1 to 5
// bytes of a batch.
//
// The options are those of executor.Map, and so are the errors. A worker that has the stages before or
// behind f runs them in one call with it. Workers, executors and gathers of a version of this module
// without package flow leave the out-queue and all queues behind it alone, and log that they do.
func Filter[T any](ctx context.Context, f workers.Predicate[T], q *executor.Queue[T], opts ...executor.MapOption) (*executor.Queue[T], error) {
	return executor.Filter(ctx, handle.Key{}, f, q, opts)
}

// FlatMap makes a stage over q and returns its out-queue: workers call f for every item of q and add the
// outputs that it yields. The outputs for one item stand together in the place of the item, in the order
// in which f has yielded them. An item that has failed goes to the out-queue without a call of f. An
// error of f is one error in the place of the item, and outputs that f had yielded before are not
// delivered. The stream ends when that of q does, also if f has yielded nothing.
//
// Several outputs for one item share its offset, see bridge.Result. Windows and MaxInFlight count items
// of q, not outputs; bounds such as executor.MaxSize count outputs. More than 64 outputs for one item are
// divided among the workers, like the items of a source, and the gather puts them in order.
//
// The options, the errors and the rest are those of Filter.
func FlatMap[In, Out any](ctx context.Context, f workers.FlatFunc[In, Out], q *executor.Queue[In], opts ...executor.MapOption) (*executor.Queue[Out], error) {
	return executor.FlatMap(ctx, handle.Key{}, f, q, opts)
}

// Feedback makes a cycle ...
func Feedback[In, Out any](
	ctx context.Context, seeds *executor.Queue[In],
	body func(*executor.Queue[In]) (*executor.Queue[Out], error), next func(context.Context, Out) ([]In, error),
) (*executor.Queue[Out], error) {
	return executor.Feedback(ctx, handle.Key{}, seeds, body, next)
}
