package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/internal/consumer"
)

// Ack acknowledges the result, if the gather has ManualAck: the result counts as delivered, and no later
// gather gets it. Without ManualAck, and after the end of the gather, Ack has no effect. Any goroutine may
// call it, more than once. It does not block.
func (r Result[T]) Ack() {
	if t := r.ticket(); t != nil {
		t.Ack()
	}
}

// AckThrough acknowledges this result and all results that the gather has delivered before it, of all
// sources, except those that Nack gave back. It costs little more than one Ack, and is like Ack otherwise.
func (r Result[T]) AckThrough() {
	if t := r.ticket(); t != nil {
		t.AckThrough()
	}
}

// AckWait is Ack, and returns once Redis has stored it: then the result comes to no gather
// again. Concurrent calls share a round trip. Errors: ErrGivenBack if Nack was called before,
// ErrOver if the gather ended first, together with its reason, and that of ctx. In the last two
// cases the result may come again. A Result without ManualAck returns an error.
func (r Result[T]) AckWait(ctx context.Context) error {
	switch {
	case ctx == nil:
		return errNoContext
	case r.ticket() == nil:
		return errNotManual
	}
	return r.ticket().AckWait(ctx)
}

// Nack gives the result back. It comes again, after delay at the earliest and behind results
// that came meanwhile: to this gather, or at once to its successor. Deliveries then tells how
// often. See MaxDeliveries for a bound. Without ManualAck, after Ack, after another Nack, and
// after the gather has ended, Nack has no effect. It can be called from any goroutine.
//
// Redis stores the number of deliveries until the result is acknowledged. A delivery that
// ended with the process of the gather is not counted.
func (r Result[T]) Nack(delay time.Duration) {
	if t := r.ticket(); t != nil {
		t.Nack(delay)
	}
}

// Deliveries is how often the result came, with this time: 1 if Nack was never called for it.
func (r Result[T]) Deliveries() int {
	if t := r.ticket(); t != nil {
		return t.Deliveries()
	}
	return 1
}

// AckAll acknowledges results as Ack does each of them. For results that follow on each other, as
// in a slice of GatherSlices, it costs little more than one Ack.
func AckAll[T any](results []Result[T]) {
	for len(results) > 0 {
		first, n := results[0].ticket(), 1
		if first != nil {
			for n < len(results) && results[n].origin == results[0].origin && results[n].at == results[0].at+n {
				n++
			}
			first.AckRun(n)
		}
		results = results[n:]
	}
}

var (
	// ErrGivenBack says that a result cannot be acknowledged, since Nack was called before.
	ErrGivenBack = consumer.ErrGivenBack
	// ErrOver says that a gather ended before an acknowledgement was stored.
	ErrOver = consumer.ErrOver

	errNotManual = errors.New("bridge: the gather has no ManualAck")
)
