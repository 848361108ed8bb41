package executor

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/internal/consumer"
)

// standDown is how long it may take to tell Redis that a call does not wait any more.
// What it cannot tell, Redis forgets.
const standDown = 2 * time.Second

// receive makes a receiver the consumer of a queue, if o.Standby says so once no other
// gather is. Then it is told by the mailbox, and looks once in a lease, since hints may be
// lost.
func (ex *Executor) receive(ctx context.Context, queue string, o consumer.ReceiverOptions) (*consumer.Receiver, error) {
	if !o.Standby {
		return consumer.Receive(ctx, ex.c, queue, o)
	}
	free := ex.mailbox.standby(queue)
	defer func() {
		if ex.mailbox.standDown(queue, free) {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), standDown)
			defer cancel()
			_ = ex.c.StandDown(last, ex.id, queue)
		}
	}()
	look := time.NewTicker(ex.lease)
	defer look.Stop()
	for {
		r, err := consumer.Receive(ctx, ex.c, queue, o)
		if !errors.Is(err, ErrConsumerExists) {
			return r, err
		}
		now, err := ex.c.Standby(ctx, ex.id, queue, 3*ex.lease)
		if err != nil {
			return nil, err
		}
		if now {
			continue
		}
		select {
		case <-free:
		case <-look.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// standby returns a channel that is rung when a queue has no gather; stand it down.
func (h *mailbox) standby(queue string) chan struct{} {
	free := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.standbys[queue] == nil {
		h.standbys[queue] = map[chan struct{}]struct{}{}
	}
	h.standbys[queue][free] = struct{}{}
	return free
}

// standDown reports whether no other call waits for the queue.
func (h *mailbox) standDown(queue string, free chan struct{}) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.standbys[queue], free)
	if len(h.standbys[queue]) > 0 {
		return false
	}
	delete(h.standbys, queue)
	return true
}

// free rings those who wait for a queue.
func (h *mailbox) free(queue string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for free := range h.standbys[queue] {
		select {
		case free <- struct{}{}:
		default:
		}
	}
}
