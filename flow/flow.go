// Package flow has the operators of a flow that have no, one or several results for an input, beside
// executor.Map, which has one.
//
// Feedback makes a cycle of stages, which ends when nothing is under way.
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

// Feedback makes a cycle: results of its stages lead to further inputs of these stages, as the links of a
// page lead to further pages. It returns the queue of all results, which ends when seeds have ended and
// no item is under way.
//
// body makes the stages: it gets the in-queue of the cycle and returns the queue of the results, or an
// error, which Feedback returns. Feedback calls it once, before it returns. All stages of executor.Map,
// Filter and FlatMap will do, with any bounds.
//
// next returns the items that a result leads to, none at the end of a path. One goroutine of this process
// calls it for each result, as they come, so next may keep a set of the items that it has seen. It is not
// called for failed items, which are results as well. An error or a panic of next is the failure of the
// result, and leads nowhere. While next runs, no further result is read. The context of next ends with
// the cycle.
//
// A full queue does not stop the cycle: while the in-queue is full, the items that next has returned wait
// in the memory of this process, without a bound. A gather that does not read lets the cycle wait once 64
// MiB of results wait for it. Seeds are read while no item of next waits. A step on the longest path costs
// four calls of Redis and some 0.5 ms; the items of many paths share calls.
//
// Results have no order: one slow item would keep all items behind it from leading on. Source and Offset
// of a result belong to the queue that Feedback returns. Each input has the outputs that body returned for
// it, once, or one error, also if workers die. This process makes the cycle, so if it dies, the cycle is
// deleted, and seeds of a named queue that it has read are lost. If ctx ends or seeds are cut, the results
// end with executor.ErrTruncated.
//
// Feedback is the one consumer of seeds. Errors: those of executor.Map for seeds, and one if body returns
// a queue with other items than the results of its in-queue, such as that of a Multiplex, a Map2 or of
// another Feedback. Such cycles would not know when nothing is under way.
func Feedback[In, Out any](
	ctx context.Context, seeds *executor.Queue[In],
	body func(*executor.Queue[In]) (*executor.Queue[Out], error), next func(context.Context, Out) ([]In, error),
) (*executor.Queue[Out], error) {
	return executor.Feedback(ctx, handle.Key{}, seeds, body, next)
}
