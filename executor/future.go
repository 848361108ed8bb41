package executor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
)

// A Future is the result of one call of a function, or one element of a queue. Submit, MapSlice and
// Futures return one. All methods may be called from many goroutines.
type Future[T any] struct {
	part  *partition
	id    string
	typed codec.Typed[T]
	*result
	load func(context.Context) (item []byte, failure *ItemError, err error) // of an element of a queue; nil for other futures
}

// made reports whether a call of this module has returned the future.
func (f *Future[T]) made() bool { return f != nil && f.result != nil }

// Done reports whether the future is settled: it has a value or an error, or it was canceled.
// Result does not wait then. Done costs no round trip.
func (f *Future[T]) Done() bool {
	if !f.made() {
		return true
	}
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// Result waits for the value and returns it. The error of the item is an *ItemError. Other errors:
// the cause of the end of ctx, and ErrClosed after Executor.Close if the value had not arrived
// before.
func (f *Future[T]) Result(ctx context.Context) (v T, err error) {
	switch {
	case !f.made():
		return v, fmt.Errorf("result: %w", errNoFuture)
	case ctx == nil:
		return v, fmt.Errorf("result: %w", errNoContext)
	}
	if err := f.wait(ctx); err != nil {
		return v, err
	}
	item, failure, err := f.item(ctx)
	if err != nil {
		return v, err
	}
	if failure != nil {
		return v, failure
	}
	if v, err = f.typed.One(item); err != nil {
		text, stack := batch.Describe(err)
		err = &ItemError{Code: batch.CodeDecode, Message: text, Stack: stack}
	}
	return v, err
}

// wait returns when there is a result. A result wins over a context that has ended.
func (f *Future[T]) wait(ctx context.Context) error {
	if f.Done() {
		return nil
	}
	select {
	case <-f.done:
		return nil
	case <-f.part.ex.closed:
		return fmt.Errorf("future %s: %w", f.id, ErrClosed)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *Future[T]) item(ctx context.Context) ([]byte, *ItemError, error) {
	if f.load != nil {
		return f.load(ctx)
	}
	return itemAt(f.frame, 0)
}

// itemAt is the i-th item of a frame.
func itemAt(frame []byte, i int) ([]byte, *ItemError, error) {
	r := batch.Read(frame)
	for ; ; i-- {
		item, failed, ok := r.Next()
		switch {
		case !ok:
			return nil, &ItemError{Code: batch.CodeLost, Message: "its result cannot be read"}, nil
		case i > 0:
		case failed:
			return nil, newItemError(batch.ParseFailure(item)), nil
		default:
			return item, nil, nil
		}
	}
}

// Cancel settles the future with an ErrCanceled, unless it has a result. The context of a function
// that runs for it ends, on any worker, and the result of that function is dropped. Cancel has no
// effect on an element of a queue, which has a result. It costs a few round trips.
func (f *Future[T]) Cancel(ctx context.Context) (err error) {
	if !f.made() {
		return fmt.Errorf("cancel: %w", errNoFuture)
	}
	ctx, end, err := f.part.ex.begin(ctx, "cancel")
	if err != nil {
		return err
	}
	defer end(&err)
	if f.Done() {
		return nil
	}
	var b batch.Builder
	b.Failure(batch.Failure{Code: batch.CodeCanceled, Message: ErrCanceled.Error()})
	frame := b.Take()
	canceled, err := f.part.c.Cancel(ctx, f.id, frame, resultTTL)
	if canceled { // the result stays in Redis, since workers read it
		f.part.mailbox.settle(f.id, frame)
		f.part.mailbox.keep(f.id)
	}
	if canceled || err != nil {
		return err
	}
	return f.part.mailbox.fetch(ctx, []string{f.id})
}

// GatherSlice waits for all futures and returns their values in order. A nil error means that every
// value is there. Otherwise a future without a value has the zero value in its place, and the error
// is that of the first such future. If ctx ends or the Executor is closed before every future has a
// result, the error says so, even if an earlier item has failed: values may be missing that exist.
func GatherSlice[T any](ctx context.Context, futures []*Future[T]) ([]T, error) {
	values := make([]T, len(futures))
	var first error
	complete := true // each future so far had a result: a value or the error of its item
	for i, f := range futures {
		v, err := f.Result(ctx)
		values[i] = v
		var item *ItemError
		own := errors.As(err, &item)
		if err != nil && (first == nil || complete && !own) {
			first = fmt.Errorf("item %d: %w", i, err)
		}
		complete = complete && (err == nil || own)
	}
	return values, first
}

// AsCompleted yields each future once, in the order in which they are settled, failed and canceled
// ones too. If ctx ends or the Executor is closed, it yields the other futures at once, in their
// order, and their Result returns the reason. So a loop that calls Result with the same ctx and
// checks its error notices that. It starts one goroutine for each future, which ends with the loop.
func AsCompleted[T any](ctx context.Context, futures []*Future[T]) iter.Seq[*Future[T]] {
	return func(yield func(*Future[T]) bool) {
		if ctx == nil { // Result says so
			slices.Values(futures)(yield)
			return
		}
		left, leave := context.WithCancel(ctx)
		done := make(chan int)
		var group sync.WaitGroup
		defer group.Wait()
		defer leave()
		for i, f := range futures {
			group.Go(func() {
				if !f.Done() && f.wait(left) != nil && left.Err() != nil {
					return
				}
				select {
				case done <- i:
				case <-left.Done():
				}
			})
		}
		yielded := make([]bool, len(futures))
		for range futures {
			select {
			case i := <-done:
				yielded[i] = true
				if !yield(futures[i]) {
					return
				}
				continue
			case <-left.Done():
			}
			break
		}
		for i, f := range futures {
			if !yielded[i] && !yield(f) {
				return
			}
		}
	}
}

// Futures yields the elements of a queue as futures, in order, as they arrive. It does not fetch
// large values: Result does, and they are kept for ten minutes. The loop is the one consumer of the
// queue. An element is delivered when the loop body returns, and not if the body panics. An error
// is the last pair, and says why the stream ended before its end: ErrConsumerExists, ErrTruncated,
// ErrQueueNotFound, ErrClosed or the cause of ctx. If the loop is left early, the flow of a queue
// without a name is deleted, see bridge.All.
func Futures[T any](ctx context.Context, q *Queue[T]) iter.Seq2[*Future[T], error] {
	return func(yield func(*Future[T], error) bool) {
		err := q.check("futures")
		if err == nil && q.q.Counted() {
			err = fmt.Errorf("futures: queue %q: %w: it is behind a filter, and a future has one result: gather it", q.q.Name, ErrTypeMismatch)
		}
		if err == nil && ctx == nil {
			err = fmt.Errorf("futures: %w", errNoContext)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		r, ctx, release, err := q.gather(ctx, consumer.ReceiverOptions{KeepPayloads: resultTTL, Kept: func(id string) { q.part.mailbox.keep(id) }})
		if err != nil {
			yield(nil, err)
			return
		}
		ended := make(chan error, 1)
		go func() {
			err := r.Run(ctx)
			release(err)
			ended <- err
		}()
		// Close waits for Run, and may be called by the loop body.
		defer context.AfterFunc(ctx, r.Left)()
		end := func() error {
			r.Left()
			return <-ended
		}
		whole := false
		defer func() { // also if the loop body panics or calls runtime.Goexit
			if !whole {
				cancel(consumer.ErrLeft)
				_ = end()
			}
		}()
		for p := range r.Pieces() {
			if !q.yield(r, p, yield) {
				return
			}
		}
		whole = true
		if err := end(); err != nil {
			yield(nil, err)
		}
	}
}

// yield yields the elements of a piece. It reports whether the loop goes on.
func (q *Queue[T]) yield(r *consumer.Receiver, p consumer.Range, yield func(*Future[T], error) bool) (more bool) {
	if p.Notice { // it is no element
		r.Delivered(1)
		return true
	}
	r.Program().Begin()
	defer r.Program().End()
	more = true
	for at := p.From; more && at < p.To; at++ {
		more = yield(q.element(p.Entry, int(at-p.Entry.First)), nil)
		r.Delivered(1)
	}
	return more
}

// element is the i-th item of an entry as a future.
func (q *Queue[T]) element(e *broker.Entry, i int) *Future[T] {
	done := make(chan struct{})
	close(done)
	f := &Future[T]{part: q.part, id: broker.FutureID(e.Source, e.First+int64(i)), typed: q.typed, result: &result{done: done}}
	f.load = func(ctx context.Context) (item []byte, failure *ItemError, err error) {
		ctx, end, err := q.part.ex.begin(ctx, "result")
		if err != nil {
			return nil, nil, err
		}
		defer end(&err)
		fetched := []broker.Entry{*e}
		if err := q.part.c.Fetch(ctx, nil, fetched); err != nil {
			return nil, nil, err
		}
		if lost := fetched[0].Lost; lost != nil {
			return nil, newItemError(*lost), nil
		}
		return itemAt(fetched[0].Frame, i)
	}
	return f
}
