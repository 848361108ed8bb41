package executor

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/internal/consumer"
)

// standDownLimit bounds the request that ends a wait for the right to gather. Redis forgets a wait
// that was not ended so.
const standDownLimit = 2 * time.Second

// gather makes a receiver the one consumer of the queue. The receiver lives until release is called
// with the reason, at most as long as the context that gather returns.
func (q *Queue[T]) gather(ctx context.Context, o consumer.ReceiverOptions) (r *consumer.Receiver, bound context.Context, release func(error), err error) {
	making, end, err := q.begin(ctx, "gather")
	if err != nil {
		return nil, nil, nil, err
	}
	defer end(&err)
	name, err := q.gathered(o)
	if err != nil {
		return nil, nil, nil, err
	}
	bound, unbind, err := q.part.ex.tasks.bind(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	o.Executor, o.Log, o.Later = q.part.ex.id, q.part.ex.log, q.part.owed.undo
	q.part.flows.beginGather(name)
	release = func(ended error) {
		defer unbind()
		q.part.active.removeGather(r)
		switch {
		case ended == nil:
			q.part.deleteDelivered(bound, name)
		case errors.Is(ended, ErrLost):
			q.part.flows.end(name, ended)
		case errors.Is(ended, ErrQueueNotFound) && o.Private == "":
			q.part.flows.forget(name)
		default:
			left := errors.Is(errors.Join(ended, context.Cause(bound)), consumer.ErrLeft) // a call that was cut may say only that its context ended
			q.part.flows.endGather(name, left || errors.Is(ended, ErrTruncated) || errors.Is(ended, ErrQueueNotFound))
		}
	}
	if r, err = q.part.receive(making, name, o); err != nil {
		release(err)
		return nil, nil, nil, err
	}
	q.part.active.addGather(r)
	q.part.resumeOwner(q.q)
	return r, bound, release, nil
}

// receive makes a receiver the consumer of a queue. With o.Standby it waits until the queue has no
// other gather: a hint in the mailbox ends the wait, and receive tries again once a lease, since
// hints may be lost.
func (p *partition) receive(ctx context.Context, queue string, o consumer.ReceiverOptions) (*consumer.Receiver, error) {
	if !o.Standby {
		return consumer.Receive(ctx, p.c, queue, o)
	}
	free := p.mailbox.standby(queue)
	defer func() {
		if p.mailbox.standDown(queue, free) {
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), standDownLimit)
			defer cancel()
			_ = p.c.StandDown(last, p.ex.id, queue)
		}
	}()
	look := time.NewTicker(p.ex.lease)
	defer look.Stop()
	for {
		r, err := consumer.Receive(ctx, p.c, queue, o)
		if !errors.Is(err, ErrConsumerExists) {
			return r, err
		}
		now, err := p.c.Standby(ctx, p.ex.id, queue, 3*p.ex.lease)
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

// standby returns a channel that gets a token when a queue has no gather any more, until standDown
// is called.
func (m *mailbox) standby(queue string) chan struct{} {
	free := make(chan struct{}, 1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.standbys[queue] == nil {
		m.standbys[queue] = map[chan struct{}]struct{}{}
	}
	m.standbys[queue][free] = struct{}{}
	return free
}

// standDown ends a wait. It reports whether no other call waits for the queue.
func (m *mailbox) standDown(queue string, free chan struct{}) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.standbys[queue], free)
	if len(m.standbys[queue]) > 0 {
		return false
	}
	delete(m.standbys, queue)
	return true
}

// wakeStandbys wakes the calls that wait for the right to gather a queue.
func (m *mailbox) wakeStandbys(queue string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for free := range m.standbys[queue] {
		select {
		case free <- struct{}{}:
		default:
		}
	}
}
