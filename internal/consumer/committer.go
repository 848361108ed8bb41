package consumer

import (
	"context"
	"runtime"
	"time"
)

// ackPace is how long after an acknowledgement the next one waits for more. With
// items that come one by one it would cost Redis as much as the items do, and be in
// the way of the next one.
const ackPace = time.Millisecond

// acknowledge writes what was delivered, each call what came since the last one,
// until everything is.
func (r *Receiver) acknowledge(ctx context.Context) error {
	for {
		some, done, err := r.write(ctx)
		if done || err != nil {
			return err
		}
		if some {
			if err := r.rest(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.acks.wake:
			runtime.Gosched() // the receiver of the item goes first: others may wait for it
		}
	}
}

// rest waits until it is time to write again, or ctx ends.
func (r *Receiver) rest(ctx context.Context) error {
	timer := time.NewTimer(ackPace)
	defer timer.Stop()
	defer r.acks.resume()
	for r.acks.coalesce() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return nil
		case <-r.acks.wake:
		}
	}
	return nil
}

// write acknowledges delivered items; some: there were any, done: there
// will be no more.
func (r *Receiver) write(ctx context.Context) (some, done bool, err error) {
	noted, err := r.note(ctx)
	if err != nil {
		return true, false, err
	}
	entries, marks, done := r.acks.take()
	if len(entries) == 0 && len(marks) == 0 {
		return noted, done, nil
	}
	waited, err := r.c.Ack(ctx, r.g, entries, marks, r.keep, r.acks.rootOf)
	if err != nil {
		r.acks.restore(entries, marks)
		return true, false, err
	}
	r.acks.written(entries, marks)
	for _, e := range entries {
		if r.keep > 0 && e.Payload != "" {
			r.kept(e.Payload)
		}
	}
	if waited {
		r.acks.hurry()
	}
	return true, done, nil
}

// commit writes the remaining acknowledgements when a Receiver ends.
func (r *Receiver) commit(ctx context.Context) error {
	for {
		some, done, err := r.write(ctx)
		if !some || done || err != nil {
			return err
		}
	}
}
