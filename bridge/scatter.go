package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// Scatter reads a channel until it is closed and stores its items in a new remote queue,
// whose stream then ends. It returns at once. If ctx ends first, the stream is aborted:
// its gather gets the items that were stored and then executor.ErrTruncated.
//
// Without Name, the queue and the stages over it, the flow, are deleted when its stream was
// delivered to its end, and also when no call can gather it any more: half a second after
// its last gather has ended, if ctx and the contexts of executor.Map and its relatives have
// ended too, or if that gather was a loop over All that was left. A flow that no gather has
// begun to read is deleted ten minutes after these contexts have ended. Functions that run
// for it are canceled. executor.Queue.Delete deletes it at any time.
//
// If storing fails for good, since the queue was deleted or another process took the
// source over, the channel is not read any more. The queue's Done tells it, and Err
// returns why: a producer selects on Done beside its send, see executor.Queue.Done.
// Executor.Flush waits until the items of all scatters are stored.
//
// Items keep their order. A value that cannot be encoded or has more than 64
// MiB becomes an *executor.ItemError in its place. Where the queue is full, the
// channel is not read.
func Scatter[T any](ctx context.Context, ex *executor.Executor, in <-chan T, opts ...ScatterOption) (*executor.Queue[T], error) {
	if in == nil {
		return nil, errNoInput
	}
	q, f, ctx, err := newFeeder[T](ctx, ex, opts)
	if err != nil {
		return nil, err
	}
	go f.run(ctx, func(ctx context.Context) error { return f.collect(ctx, in) })
	return q, nil
}

// ScatterSlices is Scatter by the slice, which costs one operation of the channel a
// slice and not one an item. A slice belongs to Scatter once it is sent. Its items
// are items like others: it neither makes a batch nor a border.
func ScatterSlices[T any](ctx context.Context, ex *executor.Executor, in <-chan []T, opts ...ScatterOption) (*executor.Queue[T], error) {
	if in == nil {
		return nil, errNoInput
	}
	q, f, ctx, err := newFeeder[T](ctx, ex, opts)
	if err != nil {
		return nil, err
	}
	go f.run(ctx, func(ctx context.Context) error { return f.collectSlices(ctx, in) })
	return q, nil
}

// A feeder is the two goroutines of a scatter: one collects and encodes while
// the other sends, so that the items which arrive during one send go with the next.
type feeder[T any] struct {
	*producer.Feed
	typed   codec.Typed[T]
	idle    chan struct{}      // a token while no batch is being sent
	pending chan []batch.Batch // to be sent; the token has room for it
	spent   chan []batch.Batch // sent, their memory may be used again
	taken   []T                // from the channel, to be encoded at once
	linger
}

func newFeeder[T any](ctx context.Context, ex *executor.Executor, opts []ScatterOption) (*executor.Queue[T], *feeder[T], context.Context, error) {
	q, feed, typed, o, ctx, err := newFeed[T](ctx, ex, "scatter", opts)
	if err != nil {
		return nil, nil, nil, err
	}
	return q, &feeder[T]{
		Feed: feed, typed: typed, idle: make(chan struct{}, 1), pending: make(chan []batch.Batch, 1), spent: make(chan []batch.Batch, 1), linger: newLinger(o.linger),
	}, ctx, nil
}

// newFeed makes a queue and a source of it, as the options say. The text names the caller in
// errors.
func newFeed[T any](ctx context.Context, ex *executor.Executor, what string, opts []ScatterOption) (
	q *executor.Queue[T], feed *producer.Feed, typed codec.Typed[T], o options, bound context.Context, err error,
) {
	if o, err = scatterOptions(what, opts); err != nil {
		return nil, nil, typed, o, nil, err
	}
	if typed, err = codec.For[T](o.codec); err != nil {
		return nil, nil, typed, o, nil, fmt.Errorf("%s: %w", what, err)
	}
	q, feed, bound, err = executor.NewFeed(ctx, ex, typed, producer.Feeding{
		Name: o.name, Max: o.max, MaxB: o.maxBytes, Window: o.window, Seal: o.seal, Overflow: producer.OverflowPolicy(o.overflow), Source: o.source, Keep: o.keepInput,
	})
	if err != nil {
		return nil, nil, typed, o, nil, fmt.Errorf("%s: %w", what, err)
	}
	feed.Most(o.batch)
	return q, feed, typed, o, bound, nil
}

// run owns both goroutines: it sends, waits for the one that collects and ends
// the source. If sending fails for good, the caller's channel is not read any
// more: no item is dropped in silence.
func (f *feeder[T]) run(ctx context.Context, collect func(context.Context) error) {
	collecting, stop := context.WithCancelCause(ctx)
	collected := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			close(f.pending)
			collected <- err
		}()
		err = collect(collecting)
	}()
	var err error
	f.idle <- struct{}{}
	for batches := range f.pending {
		if err = f.Send(ctx, batches); err != nil {
			stop(err)
			break
		}
		select {
		case f.spent <- batches:
		default: // nothing has collected since the last one
		}
		f.idle <- struct{}{}
	}
	if failed := <-collected; err == nil {
		err = failed
	}
	stop(nil)
	if err == nil {
		err = f.Finish(ctx, f.Next())
	}
	f.Ended(ctx, err)
}

var errGoexit = errors.New("an iterator, or a method that encodes a value, called runtime.Goexit, as FailNow of a test does")

// collect reads the caller's channel until it is closed.
func (f *feeder[T]) collect(ctx context.Context, in <-chan T) error {
	for {
		from := in
		if f.Full() {
			from = nil
		}
		select {
		case v, ok := <-from:
			if !ok {
				return f.flush(ctx)
			}
			f.add(v)
			if !f.drain(in) {
				return f.flush(ctx)
			}
		case <-f.ready():
			f.pass()
		case <-f.over:
			f.ripe = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ready is the token's channel where there is something to hand over that does not
// linger, nil elsewhere.
func (f *feeder[T]) ready() <-chan struct{} {
	if f.Len() == 0 || !f.Full() && f.lingers() {
		return nil
	}
	return f.idle
}

// collectSlices is collect for slices.
func (f *feeder[T]) collectSlices(ctx context.Context, in <-chan []T) error {
	for {
		select {
		case vs, ok := <-in:
			if !ok {
				return f.flush(ctx)
			}
			if err := f.addSlice(ctx, vs); err != nil {
				return err
			}
		case <-f.ready():
			f.pass()
		case <-f.over:
			f.ripe = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pass gives the collected batches to the send goroutine, whose token was taken.
func (f *feeder[T]) pass() {
	f.stop()
	f.pending <- f.Take()
	f.Limit(f.Portion())
	select {
	case sent := <-f.spent:
		f.Reuse(sent)
	default:
	}
}

// drain takes the values that are in the channel already, which needs no select. It
// reports whether the channel is still open.
func (f *feeder[T]) drain(in <-chan T) (open bool) {
	if !f.typed.Short() {
		for n := len(in); n > 0 && !f.Full(); n-- {
			v, ok := <-in
			if !ok {
				return false
			}
			f.add(v)
		}
		return true
	}
	f.taken, open = f.taken[:0], true
	for range min(len(in), f.Spare()) {
		v, ok := <-in
		if open = ok; !ok {
			break
		}
		f.taken = append(f.taken, v)
	}
	f.addAll(f.taken)
	return open
}

// flush waits until the collected batches can be passed on.
func (f *feeder[T]) flush(ctx context.Context) error {
	if f.Len() == 0 {
		return nil
	}
	select {
	case <-f.idle:
		f.pass()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// addSlice adds values, and waits whenever it is Full.
func (f *feeder[T]) addSlice(ctx context.Context, vs []T) error {
	for len(vs) > 0 {
		vs = vs[f.addAll(vs):]
		if f.Full() {
			if err := f.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// addAll encodes values straight into batches, until it is Full. It returns how
// many.
func (f *feeder[T]) addAll(vs []T) (n int) {
	if f.typed.Short() {
		n = min(len(vs), f.Spare())
		f.Fill(n, func(open *batch.Builder, from, to int) { f.typed.Fill(open, vs[from:to]) })
		return n
	}
	for n < len(vs) && !f.Full() {
		f.add(vs[n])
		n++
	}
	return n
}

// add encodes a value straight into the batch.
func (f *feeder[T]) add(v T) {
	if f.typed.Sized() && f.typed.Size(v) <= batch.MaxItem { // its header need not make way afterwards
		f.taken = append(f.taken[:0], v)
		f.Add(f.typed.Size(v), func(open *batch.Builder) { f.typed.Fill(open, f.taken) })
		f.taken[0] = *new(T)
		return
	}
	begun := f.Begin()
	buf, err := f.typed.Append(begun, v)
	switch {
	case err != nil:
		text, stack := batch.Describe(err)
		f.Fail(begun, batch.Failure{Code: batch.CodeEncode, Message: text, Stack: stack})
	case len(buf)-len(begun) > batch.MaxItem:
		f.Fail(begun, batch.Failure{Code: batch.CodeTooLarge, Message: fmt.Sprintf(
			"it has %d bytes encoded, at most %d are taken: put it elsewhere and send its address", len(buf)-len(begun), batch.MaxItem)})
	default:
		f.End(buf)
	}
}

var (
	errNoInput   = errors.New("scatter: the channel or iterator is nil, and would never end")
	errNoOption  = errors.New("one of the options is nil")
	errNoContext = errors.New("the context is nil")
)
