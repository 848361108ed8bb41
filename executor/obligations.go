package executor

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// attemptLimit is how long one attempt may take.
	attemptLimit = 5 * time.Second
	// attemptsAtOnce bounds the requests that are under way.
	attemptsAtOnce = 8
	firstPause     = 50 * time.Millisecond
	longestPause   = time.Minute
	// maxRefused is how often Redis may answer an obligation with an error that does not pass, for
	// example since a key has another type, before it is dropped. ErrDenied is enough once.
	maxRefused = 10
)

// obligations are requests that this process still owes to Redis: a call has failed, and its
// queues, sources or rights may remain there. Each request is repeated, with a growing pause, until
// it succeeds or its object is gone. The goroutine of run makes the requests; close makes the
// remaining ones once more.
type obligations struct {
	lease  time.Duration
	log    *slog.Logger
	wake   chan struct{} // holds a token if an obligation was added
	closed chan struct{} // closed by close
	ended  chan struct{} // closed when run has ended

	mu   sync.Mutex
	list []*obligation // in the order in which they are due
}

// An obligation is one request.
type obligation struct {
	what    string // to do, for the log
	do      func(context.Context) error
	due     time.Time
	again   time.Duration // after a success, it is made once more so much later; 0: it is not
	pause   time.Duration // before the next attempt
	refused int
}

func newObligations(lease time.Duration, log *slog.Logger) *obligations {
	return &obligations{lease: lease, log: log, wake: make(chan struct{}, 1), closed: make(chan struct{}), ended: make(chan struct{})}
}

// soon makes a request as soon as possible.
func (o *obligations) soon(what string, do func(context.Context) error) {
	o.add(&obligation{what: what, do: do})
}

// undo makes a request that undoes an earlier one whose reply may be lost. It makes the request
// again a lease later, since Redis may get the earlier one after that, from a connection that this
// process has closed.
func (o *obligations) undo(what string, do func(context.Context) error) {
	o.add(&obligation{what: what, do: do, again: o.lease})
}

// add adds an obligation to the list. After close, it is not made.
func (o *obligations) add(ob *obligation) {
	o.mu.Lock()
	at, _ := slices.BinarySearchFunc(o.list, ob, func(a, b *obligation) int {
		if a.due.After(b.due) {
			return 1
		}
		return -1
	})
	o.list = slices.Insert(o.list, at, ob)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run makes obligations until close is called or ctx ends, some at a time.
func (o *obligations) run(ctx context.Context) {
	defer close(o.ended)
	var group errgroup.Group
	group.SetLimit(attemptsAtOnce)
	defer func() { _ = group.Wait() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		ob, next := o.take(time.Now())
		if ob != nil {
			group.Go(func() error { _ = o.attempt(ctx, ob); return nil }) // a failed request is in the list again
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-o.wake:
		case <-o.closed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// take removes the first obligation that is due from the list, if there is one. next is the time
// until the next one.
func (o *obligations) take(now time.Time) (ob *obligation, next time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) == 0 {
		return nil, time.Hour
	}
	if next = o.list[0].due.Sub(now); next > 0 {
		return nil, next
	}
	ob = o.list[0]
	o.list = slices.Delete(o.list, 0, 1)
	return ob, 0
}

// attempt makes an obligation, and adds it again if that failed. An error that says that its object
// is gone, or that a successor has it, is a success.
func (o *obligations) attempt(ctx context.Context, ob *obligation) error {
	limited, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	err := ob.do(limited)
	if err == nil || broker.IsRefusal(err) {
		if ob.again > 0 {
			o.add(&obligation{what: ob.what, do: ob.do, due: time.Now().Add(ob.again)})
		}
		return nil
	}
	if limited.Err() == nil { // an answer, and no outage
		ob.refused++
	}
	if ob.refused >= maxRefused || errors.Is(err, ErrDenied) {
		o.log.WarnContext(ctx, ob.what+" failed for good", "err", err)
		return nil
	}
	if ob.pause == 0 && ctx.Err() == nil {
		o.log.InfoContext(ctx, ob.what+" failed; it is repeated until it succeeds", "err", err)
	}
	ob.pause = min(max(2*ob.pause, firstPause), longestPause)
	ob.due = time.Now().Add(ob.pause)
	o.add(ob)
	return err
}

// close ends run, and makes the remaining obligations once more.
func (o *obligations) close(ctx context.Context) error {
	close(o.closed)
	<-o.ended
	o.mu.Lock()
	left := o.list
	o.list = nil
	o.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(attemptsAtOnce)
	failed := make([]error, len(left))
	for i, ob := range left {
		group.Go(func() error { failed[i] = o.attempt(ctx, ob); return nil })
	}
	_ = group.Wait()
	return errors.Join(failed...)
}
