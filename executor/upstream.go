package executor

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/consumer"
)

// An upstream is a queue that a goroutine of this process reads to feed another queue.
type upstream struct {
	r        *consumer.Receiver
	ended    chan error // gets the result of Run
	complete bool       // it returned nil: the stream was delivered to its end
	release  func(error)
}

// openUpstream makes the caller the one consumer of a queue. It then calls start or leave.
func openUpstream[T any](ctx context.Context, q *Queue[T], o consumer.ReceiverOptions) (u upstream, err error) {
	u.ended = make(chan error, 1)
	u.r, _, u.release, err = q.gather(ctx, o)
	return u, err
}

// start reads the queue until it has ended or ctx has.
func (u *upstream) start(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { u.ended <- u.r.Run(ctx); return nil })
}

// leave ends the gather before it has read an item.
func (u *upstream) leave(ctx context.Context, why error) {
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	u.r.Left()
	_ = u.r.Run(stopped) // its error is that of the context
	u.release(why)
}

// end ends the gather once Run has returned. failed is the error that ended the reading goroutine, nil
// if it needs no more items.
func (u *upstream) end(failed error) {
	select {
	case err := <-u.ended:
		u.complete = err == nil
	default: // finish has taken it
	}
	switch {
	case u.complete:
		u.release(nil)
	case failed == nil:
		u.release(errOtherEnded)
	default:
		u.release(ofOther(failed))
	}
}

// finish waits, once Pieces is closed, until the items are acknowledged. It returns why the stream
// ended before its end.
func (u *upstream) finish() error {
	u.r.Left()
	err := <-u.ended
	u.complete = err == nil
	return ofOther(err)
}

var errOtherEnded = fmt.Errorf("one of two queues has ended: %w", consumer.ErrLeft)

// ofOther returns an error of one queue as the reason for the end of another one, which exists still and
// has to be ended or deleted.
func ofOther(err error) error {
	if errors.Is(err, ErrQueueNotFound) || errors.Is(err, ErrFenced) {
		return &otherError{err}
	}
	return err
}

// An otherError is the error of another queue. It does not wrap it.
type otherError struct{ err error }

func (e *otherError) Error() string { return e.err.Error() }

func (e *otherError) Is(target error) bool { return target == consumer.ErrLeft }
