package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/internal/consumer"
)

// Ack acknowledges the result in a gather with ManualAck: it counts as delivered, and no later
// gather gets it. Without ManualAck, and after the end of the gather, Ack has no effect. Any
// goroutine may call it, more than once. It does not block.
func (r Result[T]) Ack() {
	if t := r.ticket(); t != nil {
		t.Ack()
	}
}

// AckThrough acknowledges this result and all results of any source that the gather has delivered
// before it, except those that Nack gave back. It costs little more than one Ack, and is otherwise
// like Ack.
func (r Result[T]) AckThrough() {
	if t := r.ticket(); t != nil {
		t.AckThrough()
	}
}

// AckWait acknowledges the result like Ack, and returns once Redis has stored that: then no gather
// gets the result again. Concurrent calls share a round trip. Errors: ErrOver, with the reason, if
// the gather ended first, and the cause of ctx: then the result may come again. After Nack and
// without ManualAck it returns an error at once.
func (r Result[T]) AckWait(ctx context.Context) error {
	switch {
	case ctx == nil:
		return errNoContext
	case r.ticket() == nil:
		return errNotManual
	}
	return r.ticket().AckWait(ctx)
}

// Nack gives the result back. The result comes again, after delay at the earliest and behind
// results that came meanwhile: to this gather, or at once to its successor. Deliveries then counts
// one more; MaxDeliveries bounds the number. Nack has no effect without ManualAck, after Ack, after
// another Nack, and after the end of the gather. Any goroutine may call it. It does not block.
//
// Redis stores the number of deliveries until the result is acknowledged. A delivery that ended
// with the process of the gather is not counted.
func (r Result[T]) Nack(delay time.Duration) {
	if t := r.ticket(); t != nil {
		t.Nack(delay)
	}
}

// Deliveries returns how often the result was delivered, with this time: 1 if Nack was never called
// for it.
func (r Result[T]) Deliveries() int {
	if t := r.ticket(); t != nil {
		return t.Deliveries()
	}
	return 1
}

// AckAll acknowledges each of the results as Ack does. For consecutive results, such as a slice of
// GatherSlices, it costs little more than one Ack.
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

// ErrOver says that a gather ended before an acknowledgement was stored.
var ErrOver = consumer.ErrOver

var errNotManual = errors.New("bridge: the gather has no ManualAck")
