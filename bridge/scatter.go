package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/handle"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// Scatter sends the values of a channel to a new remote queue, and returns at once. It reads in
// until it is closed; the stream then ends normally. If ctx ends first, the stream is aborted:
// gathers get the items that were stored and then executor.ErrTruncated. Items keep their order. A
// value that cannot be encoded or has more than 64 MiB becomes an *executor.ItemError in its place.
// While the queue is full, Scatter does not read in.
//
// Errors: executor.ErrTypeMismatch if the codec cannot carry T, or if the named queue has another
// type. executor.ErrInvalidName, executor.ErrSealed and *executor.EndedError with Name.
// executor.ErrClosed.
//
// A failure to store items for good, since the queue was deleted or another process has taken over
// the source, ends the scatter, and in is not read any more. Done of the queue is then closed, and
// Err returns the reason; so a producer selects on Done beside its send, see executor.Queue.Done.
// executor.Executor.Flush waits until all scatters have stored their items.
//
// The queue and the stages over it are a flow. Without Name, the flow is deleted once its stream
// was delivered to its end, and once no call can gather it any more. That is half a second after
// the end of its last gather, if ctx and the contexts of executor.Map and its relatives have ended
// too, or if that gather was a loop over All that was left early. A flow that no gather has begun
// to read is deleted ten minutes after the end of these contexts. Functions that run for it are
// canceled. executor.Queue.Delete deletes it at any time.
func Scatter[T any](ctx context.Context, ex *executor.Executor, in <-chan T, opts ...ScatterOption) (*executor.Queue[T], error) {
	if in == nil {
		return nil, errNoInput
	}
	q, s, ctx, err := newScatterer[T](ctx, ex, opts)
	if err != nil {
		return nil, err
	}
	go s.run(ctx, func(ctx context.Context) error { return s.collect(ctx, in) })
	return q, nil
}

// ScatterSlices is Scatter for a channel of slices, which costs one channel operation for each
// slice and not for each item. A slice belongs to Scatter once it is sent. Slice boundaries have no
// meaning: items are batched as usual.
func ScatterSlices[T any](ctx context.Context, ex *executor.Executor, in <-chan []T, opts ...ScatterOption) (*executor.Queue[T], error) {
	if in == nil {
		return nil, errNoInput
	}
	q, s, ctx, err := newScatterer[T](ctx, ex, opts)
	if err != nil {
		return nil, err
	}
	go s.run(ctx, func(ctx context.Context) error { return s.collectSlices(ctx, in) })
	return q, nil
}

// A scatterer is the two goroutines of a scatter. One collects and encodes items while the other
// one sends, so that all items which arrive during a send go with the next one.
type scatterer[T any] struct {
	feed    *producer.Feed
	typed   codec.Typed[T]
	idle    chan struct{}      // has a token while no batch is being sent
	pending chan []batch.Batch // to be sent; the token has room for it
	sent    chan []batch.Batch // their memory can be used again
	taken   []T                // from the channel, to be encoded at once
	linger
}

func newScatterer[T any](ctx context.Context, ex *executor.Executor, opts []ScatterOption) (*executor.Queue[T], *scatterer[T], context.Context, error) {
	source, ctx, err := newSource[T](ctx, ex, "scatter", opts)
	if err != nil {
		return nil, nil, nil, err
	}
	return source.queue, &scatterer[T]{
		feed: source.feed, typed: source.typed, linger: newLinger(source.linger),
		idle: make(chan struct{}, 1), pending: make(chan []batch.Batch, 1), sent: make(chan []batch.Batch, 1),
	}, ctx, nil
}

// A source is a source of a queue, with the options that hold in this process.
type source[T any] struct {
	queue  *executor.Queue[T]
	feed   *producer.Feed
	typed  codec.Typed[T]
	linger time.Duration
}

// newSource makes a queue and a source of it as the options say. The source ends with the context
// that newSource returns. Errors name the call.
func newSource[T any](ctx context.Context, ex *executor.Executor, call string, opts []ScatterOption) (s source[T], bound context.Context, err error) {
	o, err := scatterOptions(call, opts)
	if err != nil {
		return s, nil, err
	}
	s.queue, s.linger = new(executor.Queue[T]), o.linger
	if s.typed, err = codec.For[T](o.codec); err == nil {
		s.feed, bound, err = s.queue.Internal(handle.Key{}).Scatter(ctx, ex, s.typed, o.source)
	}
	if err != nil {
		return s, nil, fmt.Errorf("%s: %w", call, err)
	}
	s.feed.LimitItems(o.batch)
	return s, bound, nil
}

// run sends, waits for the goroutine that collects, and ends the source. If a send fails for good,
// the caller's channel is not read any more, so that no item is dropped in silence.
func (s *scatterer[T]) run(ctx context.Context, collect func(context.Context) error) {
	collecting, stop := context.WithCancelCause(ctx)
	collected := make(chan error, 1)
	go func() {
		err := errGoexit
		defer func() {
			close(s.pending)
			collected <- err
		}()
		err = collect(collecting)
	}()
	var err error
	s.idle <- struct{}{}
	for batches := range s.pending {
		if err = s.feed.Send(ctx, batches); err != nil {
			stop(err)
			break
		}
		select {
		case s.sent <- batches:
		default: // the memory of an earlier send was not used again
		}
		s.idle <- struct{}{}
	}
	if failed := <-collected; err == nil {
		err = failed
	}
	stop(nil)
	if err == nil {
		err = s.feed.Finish(ctx)
	}
	s.feed.Release(ctx, err)
}

var errGoexit = errors.New("an iterator, or a method that encodes a value, called runtime.Goexit, as FailNow of a test does")

// collect reads the caller's channel until it is closed.
func (s *scatterer[T]) collect(ctx context.Context, in <-chan T) error {
	for {
		from := in
		if s.feed.Full() {
			from = nil
		}
		select {
		case v, ok := <-from:
			if !ok {
				return s.flush(ctx)
			}
			s.add(v)
			if !s.takeBuffered(in) {
				return s.flush(ctx)
			}
		case <-s.ready():
			s.passBatches()
		case <-s.timeout:
			s.expired = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ready returns the channel of the token if there are items that need not linger, otherwise nil.
func (s *scatterer[T]) ready() <-chan struct{} {
	if s.feed.Len() == 0 || !s.feed.Full() && s.lingers() {
		return nil
	}
	return s.idle
}

// collectSlices is collect for slices.
func (s *scatterer[T]) collectSlices(ctx context.Context, in <-chan []T) error {
	for {
		select {
		case vs, ok := <-in:
			if !ok {
				return s.flush(ctx)
			}
			if err := s.addSlice(ctx, vs); err != nil {
				return err
			}
		case <-s.ready():
			s.passBatches()
		case <-s.timeout:
			s.expired = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// passBatches gives the collected batches to the goroutine that sends. The caller has taken the
// token.
func (s *scatterer[T]) passBatches() {
	s.stop()
	s.pending <- s.feed.Take()
	s.feed.Limit(s.feed.Portion())
	select {
	case batches := <-s.sent:
		s.feed.Reuse(batches)
	default:
	}
}

// takeBuffered takes the values that are in the buffer of the channel, which needs no select. It
// reports whether the channel is still open.
func (s *scatterer[T]) takeBuffered(in <-chan T) (open bool) {
	if !s.typed.Short() {
		for n := len(in); n > 0 && !s.feed.Full(); n-- {
			v, ok := <-in
			if !ok {
				return false
			}
			s.add(v)
		}
		return true
	}
	s.taken, open = s.taken[:0], true
	for range min(len(in), s.feed.Spare()) {
		v, ok := <-in
		if open = ok; !ok {
			break
		}
		s.taken = append(s.taken, v)
	}
	s.addAll(s.taken)
	return open
}

// flush waits until the other goroutine can take the collected batches.
func (s *scatterer[T]) flush(ctx context.Context) error {
	if s.feed.Len() == 0 {
		return nil
	}
	select {
	case <-s.idle:
		s.passBatches()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// addSlice adds values, and flushes whenever the Batcher is full.
func (s *scatterer[T]) addSlice(ctx context.Context, vs []T) error {
	for len(vs) > 0 {
		vs = vs[s.addAll(vs):]
		if s.feed.Full() {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// addAll encodes values straight into batches, until the Batcher is full. It returns their number.
func (s *scatterer[T]) addAll(vs []T) (n int) {
	if s.typed.Short() {
		n = min(len(vs), s.feed.Spare())
		s.feed.Fill(n, func(open *batch.Builder, from, to int) { s.typed.Fill(open, vs[from:to]) })
		return n
	}
	for n < len(vs) && !s.feed.Full() {
		s.add(vs[n])
		n++
	}
	return n
}

// add encodes a value straight into the batch.
func (s *scatterer[T]) add(v T) {
	if s.typed.Sized() && s.typed.Size(v) <= batch.MaxItem { // its header need not make way afterwards
		s.taken = append(s.taken[:0], v)
		s.feed.Add(s.typed.Size(v), func(open *batch.Builder) { s.typed.Fill(open, s.taken) })
		s.taken[0] = *new(T)
		return
	}
	begun := s.feed.Begin()
	buf, err := s.typed.Append(begun, v)
	s.feed.EndValue(begun, buf, err)
}

// A linger lets the first item of a batch wait for more items, see Linger. It has no effect without
// a time.
type linger struct {
	time    time.Duration
	timer   *time.Timer
	timeout <-chan time.Time
	began   bool
	expired bool
}

func newLinger(d time.Duration) linger {
	l := linger{time: d}
	if d > 0 {
		l.timer = time.NewTimer(d)
		l.timeout = l.timer.C
		l.timer.Stop()
	}
	return l
}

// lingers reports whether the items can wait for more, and starts the timer for the first of them.
func (l *linger) lingers() bool {
	if l.timer == nil || l.expired {
		return false
	}
	if !l.began {
		l.began = true
		l.timer.Reset(l.time)
	}
	return true
}

// stop stops the timer: the items were handed over.
func (l *linger) stop() {
	if l.began {
		l.timer.Stop()
		l.began, l.expired = false, false
	}
}

var (
	errNoInput   = errors.New("scatter: the channel or iterator is nil, and would never end")
	errNoOption  = errors.New("one of the options is nil")
	errNoContext = errors.New("the context is nil")
)
