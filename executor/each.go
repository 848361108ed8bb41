package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/workers"
)

// Each is internal: package flow calls it. It makes a stage of a sink, waits for its end, and returns the
// number of the failed items and the first one of them, also beside an error.
func Each[T any](ctx context.Context, _ handle.Key, f workers.Sink[T], q *Queue[T], opts []MapOption) (n int, first *ItemError, err error) {
	out, err := makeStage(ctx, "each", broker.KindFlatMap, runner.Func[T, struct{}](f), q, opts)
	if err != nil {
		return 0, nil, err
	}
	own, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	// No other call can read the out-queue of a flow without a name: its end is that of a loop that was left.
	defer context.AfterFunc(ctx, func() { leave(fmt.Errorf("%w: %w", consumer.ErrLeft, context.Cause(ctx))) })()
	var seen sinkFailures
	err = out.drain(own, &seen)
	switch {
	case err == nil && seen.cut != nil:
		err = seen.cut
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("each %s over queue %q: %w", f.Name(), q.Name(), err)
	}
	return seen.n, seen.first, err
}

// drain reads a queue to its end.
func (q *Queue[T]) drain(ctx context.Context, seen *sinkFailures) error {
	r, ctx, release, err := q.gather(ctx, consumer.ReceiverOptions{})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for p := range r.Pieces() {
		addFailures(seen, p, q.typed)
		r.Delivered(p.Len())
	}
	r.Left()
	if err = <-ended; err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	release(err)
	return err
}

// sinkFailures are the failed items of the out-queue of a sink.
type sinkFailures struct {
	n     int
	first *ItemError
	cut   *ItemError // the first event of a source that ended before its input did; nil: none
}

// addFailures adds the failed items of a range.
func addFailures[T any](seen *sinkFailures, p consumer.Range, typed codec.Typed[T]) {
	origin := p.Origin()
	typed.Results(p.Reader(), p.Len(), p.Entry.Lost, p.Entry.Queue, nil, func(i int, why *batch.Failure) {
		if p.Notice && (why.Code != batch.CodeCut || seen.cut != nil) {
			return
		}
		failed := newItemError(*why)
		if failed.Source = origin.Source; p.Notice {
			seen.cut = failed
			return
		}
		if seen.n++; seen.first == nil {
			failed.Offset = origin.Offset(i)
			seen.first = failed
		}
	})
}
