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

// A Future is a result that may not be there yet.
type Future[T any] struct {
	part  *partition
	id    string
	typed codec.Typed[T]
	*result
	load func(context.Context) (item []byte, failure *ItemError, err error) // of an element of a queue; nil for other futures
}

// ID names the future in the whole fleet.
func (f *Future[T]) ID() string {
	if f == nil {
		return ""
	}
	return f.id
}

// made reports whether a call of this module has returned the future.
func (f *Future[T]) made() bool { return f != nil && f.result != nil }

// Done reports whether Result would return at once: there is a value or an
// error, or it was canceled.
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

// Result waits for the value. The error of the item is an *ItemError. After Executor.Close it is
// ErrClosed, unless the value had arrived before.
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

// Cancel makes the future an ErrCanceled, unless it has a result already. The
// context of a function that runs for it ends, wherever that is; what it returns
// is dropped. An element of a queue has its result already.
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
	if canceled { // what is set stays there, since it is what a worker looks at
		f.part.mailbox.settle(f.id, frame)
		f.part.mailbox.keep(f.id)
	}
	if canceled || err != nil {
		return err
	}
	return f.part.mailbox.fetch(ctx, []string{f.id})
}

// GatherSlice waits for all futures and returns their values in order. A nil error means that every
// value is there. Otherwise the places of futures without a value hold the zero value, and the error
// is that of the first of them. If ctx ends or the Executor is closed before every future has a
// result, the error says so, also behind the error of an item: values may be missing that exist.
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

// AsCompleted yields every future exactly once, in the order in which they get a result, failed and
// canceled ones too. When ctx ends or the Executor is closed, it yields at once those that have no
// result, in the order of futures: their Result returns why. So a loop that calls Result with the same
// ctx and looks at its errors sees whether it was cut.
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

// Futures yields the elements of a queue as futures, in order, as they come. Large values are not
// fetched before Result asks for them, and are kept for ten minutes. The loop is the one consumer of
// the queue. An element is delivered when the loop body has returned, not if it panics. The error is
// why the stream ended before its end, and is the last. If the loop is left, the flow of a queue
// without a name is deleted, see bridge.All.
func Futures[T any](ctx context.Context, q *Queue[T]) iter.Seq2[*Future[T], error] {
	return func(yield func(*Future[T], error) bool) {
		err := q.check("futures")
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
