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

// A Producer stores values in a remote queue and confirms each one. It is for programs that have to
// know whether a value is stored: an HTTP handler answers 202 after Send has returned nil. All
// methods may be called from many goroutines. The caller closes it.
//
// Concurrent callers share batches: while one call to Redis is under way, the values of other
// callers collect and go with the next call. So many callers cost few commands, and a single caller
// waits for one round trip.
type Producer[T any] struct {
	queue *executor.Queue[T]
	typed codec.Typed[T]
	group *producer.Group
}

// NewProducer makes a source of a new remote queue, or of the one with a Name. It takes the options
// of Scatter and returns their errors. The Producer lives until Close. If ctx ends or the Executor
// is closed before, the stream is aborted: gathers get the values stored so far and then
// executor.ErrTruncated. Done of the queue is closed when the Producer has ended, and Err returns
// the reason.
//
// Close ends a durable source (DurableSource) for good. To leave it to a successor, as a service
// does that is started again, end ctx and wait for Done of the queue.
func NewProducer[T any](ctx context.Context, ex *executor.Executor, opts ...ScatterOption) (*Producer[T], error) {
	source, ctx, err := newSource[T](ctx, ex, "new producer", opts)
	if err != nil {
		return nil, err
	}
	source.feed.ExcludeFromFlush()
	p := &Producer[T]{source.queue, source.typed, producer.NewGroup(source.feed.Sender, source.feed.Batcher, source.linger)}
	go p.run(ctx, source.feed)
	return p, nil
}

// run stores the values of Send until Close, and ends the source.
func (p *Producer[T]) run(ctx context.Context, feed *producer.Feed) {
	err := p.group.Run(ctx)
	if err == nil {
		err = feed.Finish(ctx)
	}
	feed.Release(ctx, err)
}

// Send stores a value. It returns nil once the value is in Redis, and with executor.Replicas in the
// replicas too. It waits for one round trip, and for room while the queue is full. Errors:
//
//   - an *executor.ItemError with the code "encode" or "toolarge": the value cannot be encoded, or
//     has more than 64 MiB.
//   - executor.ErrFull or executor.ErrDropped: there was no room, and the policy of Overflow
//     applied to the value. The Producer goes on after both.
//   - the cause of ctx, if it has ended.
//   - the error of Queue().Err, after the Producer has ended; executor.ErrClosed after Close.
//
// After an error the value is not stored, unless the error is also an executor.ErrOutcomeUnknown:
// ctx or the Producer ended before Redis answered. A caller that sends the value again then may
// store it twice.
func (p *Producer[T]) Send(ctx context.Context, v T) error {
	if err := p.check(ctx); err != nil {
		return err
	}
	r := p.group.Request()
	if err := p.encode(r, v); err != nil {
		p.group.Discard(r)
		return p.failed(err)
	}
	stored, err := p.group.Store(ctx, r)
	if err == nil && stored.Dropped > 0 {
		err = executor.ErrDropped
	}
	return p.failed(err)
}

// SendAll stores values in their order, with as few calls to Redis as possible. Values of other
// callers may come between them. If not all of them are stored, the error is a *SendError, which
// wraps one of the errors of Send. SendAll stops at the first value that is not stored, except for
// values that an overflow policy drops.
func (p *Producer[T]) SendAll(ctx context.Context, vs []T) error {
	if err := p.check(ctx); err != nil {
		return err
	}
	var all producer.Stored
	for rest := vs; len(rest) > 0; {
		r := p.group.Request()
		n, err := p.fill(r, rest)
		if err != nil {
			p.group.Discard(r)
			return p.failed(&SendError{all.Items, len(vs), fmt.Errorf("value %d: %w", len(vs)-len(rest)+n, err)})
		}
		stored, err := p.group.Store(ctx, r)
		all.Items, all.Dropped = all.Items+stored.Items, all.Dropped+stored.Dropped
		if err != nil {
			return p.failed(&SendError{all.Items, len(vs), err})
		}
		rest = rest[n:]
	}
	if all.Dropped > 0 {
		return p.failed(&SendError{all.Items, len(vs), executor.ErrDropped})
	}
	return nil
}

// A SendError is the error of SendAll. It says how many values are stored: the first ones, unless
// an overflow policy has dropped some. If Err is an executor.ErrOutcomeUnknown, more values may be
// stored.
type SendError struct {
	Stored, Of int   // stored values, of all values of the call
	Err        error // why the other values are not stored
}

// Error returns for example "12 of 20 values are stored: the queue is full".
func (e *SendError) Error() string {
	if e == nil {
		return "<nil>"
	}
	return fmt.Sprintf("%d of %d values are stored: %v", e.Stored, e.Of, e.Err)
}

// Unwrap returns Err, for errors.Is and errors.As.
func (e *SendError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// Flush waits until each earlier Send and SendAll of this Producer has returned or is about to: its
// values are stored, or it gets an error. Errors: the cause of ctx, and the reason why the Producer
// has ended.
func (p *Producer[T]) Flush(ctx context.Context) error {
	if err := p.check(ctx); err != nil {
		return err
	}
	_, err := p.group.Store(ctx, p.group.Request())
	return p.failed(err)
}

// Close ends the stream behind the values that were sent, and waits until they and the end are
// stored, however long Redis does not answer. To give up, end the context of NewProducer. Close
// returns nil, or why the Producer ended before. A second Close waits and returns the same.
func (p *Producer[T]) Close() error {
	if err := p.check(context.Background()); err != nil { //nolint:forbidigo // it takes none, as io.Closer
		return err
	}
	p.group.Close()
	<-p.queue.Done()
	return p.queue.Err()
}

// Queue returns the queue that the values go to. Its Done and Err are those of the Producer.
func (p *Producer[T]) Queue() *executor.Queue[T] {
	if p == nil {
		return nil
	}
	return p.queue
}

// check returns an error for arguments that a method of a Producer cannot use.
func (p *Producer[T]) check(ctx context.Context) error {
	switch {
	case p == nil || p.group == nil:
		return errNoProducer
	case ctx == nil:
		return fmt.Errorf("send to queue %q: %w", p.queue.Name(), errNoContext)
	}
	return nil
}

var errNoProducer = errors.New("producer: the Producer is nil or a zero value: make it with bridge.NewProducer")

// failed says which queue an error is about.
func (p *Producer[T]) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, producer.ErrGroupClosed):
		err = producerClosed{}
	}
	return fmt.Errorf("send to queue %q: %w", p.queue.Name(), err)
}

// producerClosed is an executor.ErrClosed in the words of a Producer.
type producerClosed struct{}

func (producerClosed) Error() string { return "the producer is closed" }

func (producerClosed) Is(target error) bool { return target == executor.ErrClosed }

// Bounds of a request of SendAll: about those of one batch.
const (
	requestItems = 8192
	requestBytes = 1 << 20
)

// fill encodes the first of some values, and returns how many. An error is that of the
// nth value.
func (p *Producer[T]) fill(r *producer.Request, vs []T) (n int, err error) {
	vs = vs[:min(len(vs), requestItems)]
	if p.typed.Short() {
		p.typed.Fill(&r.Builder, vs)
		return len(vs), nil
	}
	for n < len(vs) && r.Size() < requestBytes {
		if err := p.encode(r, vs[n]); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// encode adds a value to a request.
func (p *Producer[T]) encode(r *producer.Request, v T) error {
	if p.typed.Sized() && p.typed.Size(v) > batch.MaxItem {
		return itemError(batch.TooLarge(p.typed.Size(v)))
	}
	begun := r.Begin()
	buf, err := p.typed.Append(begun, v)
	switch size := len(buf) - len(begun); {
	case err != nil:
		return itemError(batch.CannotEncode(err))
	case size > batch.MaxItem:
		return itemError(batch.TooLarge(size))
	}
	r.End(buf)
	return nil
}
