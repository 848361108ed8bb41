package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/handle"
)

// A Result is the value or the error of one item. The error of an item is an *executor.ItemError.
// Any other error says why the stream ended before its end, and its Result is the last one.
type Result[T any] struct {
	Value T
	Err   error

	origin *consumer.Origin // of the item, nil for an error that ends the stream
	at     int              // the item's place there
}

// Source returns the name of the source of the item: that of DurableSource, or a name that Scatter
// has made. It is "" for an error that ends the stream.
func (r Result[T]) Source() string {
	if r.origin == nil {
		return ""
	}
	return r.origin.Source
}

// Offset returns the place of the item in its source, 0 for the first item that was scattered. It
// is the same in every queue of the flow. Source and Offset together name the item, see
// workers.ItemFrom.
func (r Result[T]) Offset() int64 {
	if r.origin == nil {
		return 0
	}
	return r.origin.Offset(r.at)
}

func (r Result[T]) ticket() *consumer.Ticket { return r.origin.Ticket(r.at) }

// Gather reads a remote queue into a new channel, and returns at once. It sends one Result for each
// item, in the order in which the items of a source were scattered. It closes the channel after the
// last one.
//
// A result is delivered when the program has taken it from the channel, see ManualAck for another
// way. If ctx ends or the Executor is closed, results that lie in the channel are taken back, and a
// last Result has the reason, even if the program does not receive at that time. So a complete loop
// differs from an aborted one.
//
// Gather is the one consumer of the queue. Errors: executor.ErrConsumerExists if the queue has a
// stage or another gather (see Wait), executor.ErrQueueNotFound, executor.ErrClosed. After the end
// of a gather, another one continues behind the delivered results, unless the flow was deleted
// meanwhile: see Scatter for a queue without a name.
func Gather[T any](ctx context.Context, q *executor.Queue[T], opts ...GatherOption) (<-chan Result[T], error) {
	o, err := gatherOptions(opts)
	if err != nil {
		return nil, err
	}
	out := make(resultSink[T], o.capacity(defaultBuffer))
	if _, err := gather(ctx, q, o, out); err != nil {
		return nil, err
	}
	return out, nil
}

// GatherSlices is Gather for slices: results that arrive together are sent together, which costs
// one channel operation for each slice and not for each result. No slice is empty, and each belongs
// to the receiver.
func GatherSlices[T any](ctx context.Context, q *executor.Queue[T], opts ...GatherOption) (<-chan []Result[T], error) {
	o, err := gatherOptions(opts)
	if err != nil {
		return nil, err
	}
	out := &sliceSink[T]{out: make(chan []Result[T], o.capacity(defaultSlices))}
	if _, err := gather(ctx, q, o, out); err != nil {
		return nil, err
	}
	return out.out, nil
}

func gatherOptions(opts []GatherOption) (options, error) {
	o := options{buffer: -1}
	for _, opt := range opts {
		if opt == nil {
			return o, fmt.Errorf("gather: %w", errNoOption)
		}
		if err := opt.applyGather(&o); err != nil {
			return o, err
		}
	}
	switch {
	case !o.receiver.Manual && o.receiver.MaxUnacked > 0:
		return o, fmt.Errorf("MaxUnacked(%d): %w", o.receiver.MaxUnacked, errNotManual)
	case !o.receiver.Manual && o.receiver.MaxDeliveries > 0:
		return o, fmt.Errorf("MaxDeliveries(%d): %w", o.receiver.MaxDeliveries, errNotManual)
	}
	return o, nil
}

func gather[T any](ctx context.Context, q *executor.Queue[T], o options, out sink[T]) (*deliverer[T], error) {
	queue := q.Internal(handle.Key{})
	r, ctx, release, err := queue.Gather(ctx, o.receiver)
	if err != nil {
		return nil, err
	}
	d := &deliverer[T]{r: r, out: out, ended: make(chan struct{}), typed: queue.Codec()}
	if o.keepInput {
		d.inputs = r.Inputs()
	}
	go d.run(ctx, release)
	return d, nil
}

// All is Gather as an iterator. An error that is no *executor.ItemError is the last pair. ManualAck
// is refused, since the loop has no Result to acknowledge.
//
// If the loop is left early, by break, return or a panic, the results that it has not received are
// not delivered, and the flow of a queue without a name is deleted half a second later, unless
// another gather of it has begun. To continue after a longer pause, use Gather or a named queue.
func All[T any](ctx context.Context, q *executor.Queue[T], opts ...GatherOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if ctx == nil {
			var zero T
			yield(zero, fmt.Errorf("gather: %w", errNoContext))
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		o, err := gatherOptions(opts)
		if err == nil && o.receiver.Manual {
			err = errManualLoop
		}
		out := make(resultSink[T], o.capacity(defaultBuffer))
		var d *deliverer[T]
		if err == nil {
			d, err = gather(ctx, q, o, out)
		}
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		defer func() { // also if the loop body panics or calls runtime.Goexit
			cancel(consumer.ErrLeft) // unless the stream has ended
			<-d.ended                // without a look into the channel, which would take results
		}()
		for r := range out {
			if !yield(r.Value, r.Err) {
				return
			}
		}
	}
}

// A deliverer is the only sender on the channel of a gather. The results that it has sent and that
// are no longer in the channel are delivered.
type deliverer[T any] struct {
	r      *consumer.Receiver
	out    sink[T]
	ended  chan struct{} // closed behind out
	typed  codec.Typed[T]
	inputs *consumer.Inputs // of failed items, nil if they are not brought

	sent     int  // results, in total
	reported int  // of them, those that were reported as delivered
	waits    bool // for the program to take a result

	// the range of items that is being delivered
	origin *consumer.Origin
	values []T
	failed []failedItem // in order; their values are zero
}

// A failedItem is an item without a value.
type failedItem struct {
	index int // in values
	err   *executor.ItemError
}

// lookAtBuffer is the interval at which a gather without results to send checks its buffer.
const lookAtBuffer = 2 * time.Millisecond

// run delivers the stream and then closes the channel, also if a method that decodes a value
// ends the goroutine.
func (d *deliverer[T]) run(ctx context.Context, release func(error)) {
	var reading errgroup.Group
	read, stop := context.WithCancelCause(ctx)
	reading.Go(func() error { return d.r.Run(read) })
	err := errGoexitDecode
	defer func() {
		defer stop(nil)
		if err != nil {
			stop(err)
			d.sent -= d.out.takeBack() // they are not delivered, and the last result has room
		}
		d.report()
		d.r.Left()
		if failed := reading.Wait(); err == nil {
			err = failed
		}
		if err != nil && ctx.Err() != nil { // the same may have ended the scatter a moment before
			err = context.Cause(ctx)
		}
		if err != nil {
			d.out.last(Result[T]{Err: fmt.Errorf("gather: %w", err)})
		}
		release(err)
		d.out.close()
		close(d.ended)
	}()
	err = d.deliver(ctx)
}

var errGoexitDecode = errors.New("a method that decodes a value called runtime.Goexit, as FailNow of a test does: return an error instead")

// deliver sends results until the stream has ended and the program has taken the last one. It
// returns an error if ctx ends first.
func (d *deliverer[T]) deliver(ctx context.Context) error {
	for {
		p, ok, err := d.next(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return d.awaitTaken(ctx)
		}
		d.decode(p)
		if err := d.fetchInputs(ctx); err != nil {
			return err
		}
		end := d.r.BeginSpan(ctx, p)
		err = d.out.put(ctx, d)
		if end != nil {
			end(err)
		}
		if err != nil {
			return err
		}
		d.setWaits(false)
	}
}

// setWaits notes whether the gather waits for the program.
func (d *deliverer[T]) setWaits(waits bool) { //nolint:revive // a state
	if waits == d.waits {
		return
	}
	if d.waits = waits; waits {
		d.r.Program().Begin()
	} else {
		d.r.Program().End()
	}
}

// awaitTaken waits until the program has taken the last result.
func (d *deliverer[T]) awaitTaken(ctx context.Context) error {
	tick := time.NewTicker(lookAtBuffer)
	defer tick.Stop()
	for d.report(); d.reported < d.sent; d.report() {
		d.setWaits(true)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// next waits for a range of items and, meanwhile, reports the results that were taken from the
// buffer.
func (d *deliverer[T]) next(ctx context.Context) (p consumer.Range, ok bool, err error) {
	select {
	case p, ok = <-d.r.Pieces():
		return p, ok, nil
	default:
	}
	for before := -1; ; before = d.reported {
		d.report()
		d.setWaits(d.reported == before && d.reported < d.sent) // it has taken none since the last tick
		var tick <-chan time.Time
		if d.reported < d.sent {
			tick = time.After(lookAtBuffer)
		}
		select {
		case p, ok = <-d.r.Pieces():
			return p, ok, nil
		case <-tick:
		case <-ctx.Done():
			return consumer.Range{}, false, context.Cause(ctx)
		}
	}
}

func (d *deliverer[T]) report() {
	taken := d.sent - d.out.untaken()
	d.r.Delivered(taken - d.reported)
	d.reported = taken
}

// firstOf returns the index of the first of some failed items, or the end of the range without one.
func (d *deliverer[T]) firstOf(failed []failedItem) int {
	if len(failed) == 0 {
		return len(d.values)
	}
	return failed[0].index
}

// failure is the result of a failed item.
func (d *deliverer[T]) failure(f failedItem) Result[T] {
	return Result[T]{Err: f.err, origin: d.origin, at: f.index}
}

// itemError is the error of a failed item.
func itemError(f batch.Failure) *executor.ItemError {
	return &executor.ItemError{
		Code: f.Code, Message: f.Message, Stage: f.Stage, Function: f.Function, Worker: f.Worker, Attempts: f.Attempts, Stack: f.Stack,
	}
}

func (d *deliverer[T]) decode(p consumer.Range) {
	d.origin = p.Origin()
	clear(d.values)
	d.failed = d.failed[:0]
	d.values = d.typed.Results(p.Reader(), p.Len(), p.Entry.Lost, p.Entry.Queue, d.values[:0], func(i int, why *batch.Failure) {
		err := itemError(*why)
		if err.Source = d.origin.Source; !p.Notice {
			err.Offset = d.origin.Offset(i)
		}
		d.failed = append(d.failed, failedItem{i, err})
	})
	if d.typed.Copies() {
		d.r.Spent(p)
	}
}

// fetchInputs reads the inputs of the failed items, if KeepInput was given.
func (d *deliverer[T]) fetchInputs(ctx context.Context) error {
	if d.inputs == nil {
		return nil
	}
	for _, f := range d.failed {
		if ofSource(f.err) {
			continue
		}
		item, format, err := d.inputs.Of(ctx, f.err.Source, f.err.Offset, d.origin.Offset(len(d.values)-1)+1)
		if err != nil {
			return err
		}
		if item != nil {
			f.err.Input, f.err.InputType = bytes.Clone(item), format
		}
	}
	return nil
}

var errManualLoop = errors.New("bridge: ManualAck in a loop over All, which has no result to ack: use Gather")

// IsItemError reports whether an error is the error of one item. The stream goes on after it.
func IsItemError(err error) bool {
	var item *executor.ItemError
	return errors.As(err, &item) && !ofSource(item)
}

// IsSourceError reports whether an error is about a source of a queue that stays open: it was cut
// (executor.ErrTruncated), or its process has died (executor.ErrSourceOffline). The error stands in
// the place of no item, and the stream goes on.
func IsSourceError(err error) bool {
	var item *executor.ItemError
	return errors.As(err, &item) && ofSource(item)
}

func ofSource(item *executor.ItemError) bool {
	return errors.Is(item, executor.ErrTruncated) || errors.Is(item, executor.ErrSourceOffline)
}
