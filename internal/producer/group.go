package producer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Errors of a Group for errors.Is.
var (
	// ErrOutcomeUnknown says that items may be stored or may not be: the reply to the
	// call that carried them is not known.
	ErrOutcomeUnknown = errors.New("the item may be stored or may not be")
	// ErrGroupClosed says that Close was called before.
	ErrGroupClosed = errors.New("the producer is closed")
)

// A Group stores items for many callers through one source (group commit). One goroutine, Run,
// calls the broker. The requests that arrive during one call share the batches of the next call.
type Group struct {
	sender  *Sender
	batcher *Batcher
	linger  time.Duration
	wake    chan struct{} // rung for Run
	spare   sync.Pool     // of requests

	mu        sync.Mutex
	requests  requests
	at        int64 // offset below which each item is stored, or dropped by the policy
	waiting   bool  // Run waits for a request
	calling   bool  // Run waits for the reply of the broker
	withdrawn bool  // the batches have items of a request that was withdrawn
	closed    bool
	err       error // why Run has ended
}

// NewGroup makes a Group; the caller must call Run. A batch waits up to linger for further items.
func NewGroup(s *Sender, b *Batcher, linger time.Duration) *Group {
	return &Group{sender: s, batcher: b, linger: linger, wake: make(chan struct{}, 1), at: b.Next()}
}

// Request returns an empty request.
func (g *Group) Request() *Request {
	if r, ok := g.spare.Get().(*Request); ok {
		return r
	}
	return &Request{done: make(chan struct{}, 1)}
}

// Discard takes back a request that was not given to Store.
func (g *Group) Discard(r *Request) {
	if r.reset() {
		g.spare.Put(r)
	}
}

// Store returns when all items of a request are stored or dropped. A request without items waits
// for all requests before it. Errors: ErrFull, the cause of ctx, or the reason for the end of the
// Group. With ErrOutcomeUnknown, more items may be stored than Stored says. The caller must not use
// the request afterwards.
func (g *Group) Store(ctx context.Context, r *Request) (Stored, error) {
	r.trace = g.sender.parent(ctx)
	if err := g.enqueue(ctx, r); err != nil {
		g.Discard(r)
		return Stored{}, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if stored, left, err := g.withdraw(r, context.Cause(ctx)); left {
			return stored, err
		}
	}
	stored, err := r.Stored, r.err
	g.Discard(r)
	return stored, err
}

func (g *Group) enqueue(ctx context.Context, r *Request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.err != nil:
		return g.err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case g.closed:
		return ErrGroupClosed
	}
	g.requests.push(r)
	if g.waiting {
		g.ring()
	}
	return nil
}

// withdraw takes a request back, unless it is settled. left: the broker may have some of its items
// now, and the request stays in the Group.
func (g *Group) withdraw(r *Request, cause error) (so Stored, left bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !r.queued:
		<-r.done
		return so, false, nil
	case g.calling && r.isUnderWay():
		r.abandoned = true
		g.requests.cut(r)
		return r.Stored, true, fmt.Errorf("%w: %w", ErrOutcomeUnknown, cause)
	case r.isUnderWay():
		g.withdrawn = true
		g.ring()
	}
	r.err = cause
	g.requests.remove(r)
	return so, false, nil
}

func (g *Group) ring() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Close lets Run end when all requests are settled.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	g.ring()
	g.mu.Unlock()
}

// Run stores items until Close was called and all items are stored, and then returns nil. Otherwise
// it returns the reason: ctx has ended, or the source or its queue is gone.
func (g *Group) Run(ctx context.Context) error {
	for {
		batches, err := g.collect(ctx)
		if err == nil && batches == nil {
			g.end(ErrGroupClosed)
			return nil
		}
		if err == nil {
			err = g.store(ctx, batches)
		}
		if err != nil {
			g.end(err)
			return err
		}
	}
}

// end refuses all requests, those that wait and later ones.
func (g *Group) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
	unknown := fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	for r := g.requests.first; r != nil; r = g.requests.first {
		if g.calling && r.isUnderWay() {
			g.finish(r, unknown)
		} else {
			g.finish(r, err)
		}
	}
}

// collect waits for items and cuts them into batches. It returns no batch if the Group is closed
// and all requests are settled.
func (g *Group) collect(ctx context.Context) ([]batch.Batch, error) {
	var ripe <-chan time.Time // when the first item has waited for linger
	due := g.linger <= 0
	for {
		batches, more, over := g.cut(due)
		switch {
		case over || batches != nil:
			return batches, nil
		case more && due:
			runtime.Gosched() // callers whose items were just stored send their next ones
			continue
		case more && ripe == nil:
			timer := time.NewTimer(g.linger)
			defer timer.Stop()
			ripe = timer.C
		}
		select {
		case <-g.wake:
		case <-ripe:
			due = true
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// cut moves items of requests into batches and returns the batches. It returns none while further
// items may come: some have come since the last call, or items may linger. over: the Group is
// closed and no item is left.
func (g *Group) cut(due bool) (batches []batch.Batch, more, over bool) { //nolint:revive // a state of the items
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.batcher.Len()
	flush := g.take()
	some := g.batcher.Len() > 0
	if g.closed || g.batcher.Full() || some && (flush || due && g.batcher.Len() == before) {
		g.waiting = false
		return g.batcher.Take(), false, !some
	}
	g.waiting = !some || !due
	return nil, some, false
}

// take moves items of requests into batches. flush: a request waits for the requests before it. The
// lock is held.
func (g *Group) take() (flush bool) {
	if g.withdrawn {
		g.rewind()
	}
	g.batcher.Limit(g.sender.Portion())
	for r := g.requests.next; r != nil && !g.batcher.Full(); r = g.requests.next {
		for r.taken < r.n && !g.batcher.Full() {
			item, _, _ := r.rest.Next()
			g.batcher.End(append(g.batcher.Begin(), item...))
			r.taken++
		}
		if r.taken < r.n {
			break
		}
		flush = flush || r.n == 0
		g.requests.next = r.after
	}
	g.finishEmpty()
	return flush
}

// rewind takes back the batches: their items wait again, except those of callers that have left.
// The lock is held.
func (g *Group) rewind() {
	g.withdrawn = false
	g.batcher.Rewind(g.at)
	for r := g.requests.first; r != nil; {
		after := r.after
		if r.abandoned {
			g.finish(r, nil)
		} else {
			r.rewind()
		}
		r = after
	}
	g.requests.next = g.requests.first
}

// store stores batches. If a request is withdrawn while they wait for room, and if there is no room
// and the policy is OverflowFail, it drops the remaining parcels.
func (g *Group) store(ctx context.Context, batches []batch.Batch) error {
	end := batches[len(batches)-1].End()
	parcels := Parcels(batches)
	g.beginSpans(ctx, parcels)
	for len(parcels) > 0 && g.begin() {
		got, err := g.sender.Store(ctx, &parcels)
		to := end
		if len(parcels) > 0 {
			to = parcels[0].First
		}
		if err = g.settle(to, got, err); err != nil {
			return err
		}
		if got.Full {
			if err := g.sender.Await(ctx, g.wake); err != nil {
				return err
			}
		}
	}
	g.sender.Discard(ctx, parcels)
	g.batcher.Reuse(batches)
	return nil
}

// begin starts a call of the broker. It returns false if the batches must be made again.
func (g *Group) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calling = !g.withdrawn
	return g.calling
}

// settle notes a reply: all items below an offset are stored or dropped. It returns an error that
// ends the Group.
func (g *Group) settle(to int64, got Storing, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := g.requests.first; g.at < to; r = g.requests.first {
		n := min(int64(r.taken-r.settled()), to-g.at)
		dropped := got.Dropped.Count(g.at, g.at+n)
		r.Dropped += int(dropped)
		r.Items += int(n - dropped)
		g.at += n
		if r.settled() == r.n {
			g.finish(r, nil)
		}
	}
	g.finishEmpty()
	full := errors.Is(err, broker.ErrFull)
	if err != nil && !full {
		return err
	}
	for r := g.requests.first; full && r != nil && r.isUnderWay(); r = g.requests.first {
		g.finish(r, err)
	}
	g.calling, g.withdrawn = false, full || got.Full && g.deserted()
	return nil
}

// deserted reports whether the caller of a request that waits for room has left. The lock is held.
func (g *Group) deserted() bool {
	for r := g.requests.first; r != g.requests.next; r = r.after {
		if r.abandoned {
			return true
		}
	}
	return false
}

// finishEmpty finishes the requests without items for which all earlier requests are settled. The
// lock is held.
func (g *Group) finishEmpty() {
	for r := g.requests.first; r != g.requests.next && r.n == 0; r = g.requests.first {
		g.finish(r, nil)
	}
}

// finish wakes the caller of a request, unless it has left. The lock is held.
func (g *Group) finish(r *Request, err error) {
	g.requests.remove(r)
	if r.abandoned {
		g.Discard(r)
		return
	}
	r.err = err
	r.done <- struct{}{}
}
