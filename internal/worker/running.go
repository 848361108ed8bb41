package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// hungAfter is how long after the end of its context a function may run until it is
// reported. Each further report takes twice as long.
const hungAfter = 5 * time.Second

// A runningCall is what a slot runs, as other goroutines see it: one call at a time of the
// function of a stage. The slot has one context for all of its calls, until a stage ends.
type runningCall struct {
	epoch time.Time
	at    atomic.Int64 // the items that f may be at, see span
	due   atomic.Int64 // when the context of the item ends, in ns since epoch; 0: with that of the slot

	mu         sync.Mutex
	cancel     context.CancelCauseFunc // of the context of the slot
	route      *route                  // nil: no function runs
	source     string
	first      int64
	attempt    int
	positioner runner.Positioner       // of the runner, which tells the item of the function; only the function asks
	ended      time.Time               // of the context of the slot, since the call began; zero: it has not
	why        error                   // it or that of the item ended
	single     context.CancelCauseFunc // of the context of a future, nil where there is none
	offset     int64                   // of that future
	patience   time.Duration           // time after the end of the context until the next report
	late       bool                    // the call was reported
}

// open returns a new context for the slot.
func (x *runningCall) open(ctx context.Context) context.Context {
	own, cancel := context.WithCancelCause(runner.WithLocator(ctx, x))
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cancel != nil {
		x.cancel(nil)
	}
	x.cancel = cancel
	return own
}

// close ends the context of the slot.
func (x *runningCall) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cancel(nil)
}

// begin notes that a function is about to run on a batch. It returns false if the stage has
// ended.
func (x *runningCall) begin(r *route, b batch.Batch, attempt int) bool {
	x.due.Store(0)
	x.Span(0, b.N)
	x.mu.Lock()
	x.route, x.source, x.first, x.attempt, x.positioner = r, b.Source, b.First, attempt, nil
	x.ended, x.why, x.patience = time.Time{}, nil, hungAfter
	x.mu.Unlock()
	return !r.ended.Load()
}

// Span notes that the function runs on one of n items from the i-th of the batch on.
func (x *runningCall) Span(i, n int) {
	x.at.Store(int64(i)*2*batch.MaxItems + int64(n))
}

// Follow notes who knows the item that the function is at.
func (x *runningCall) Follow(p runner.Positioner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.positioner = p
}

// Limit notes when the context of the item will end.
func (x *runningCall) Limit(deadline time.Time) {
	x.due.Store(int64(deadline.Sub(x.epoch)))
}

// Future returns a context for the i-th item of the batch, which ends the one of the Future
// before.
func (x *runningCall) Future(ctx context.Context, i int) context.Context {
	own, cancel := context.WithCancelCause(ctx)
	x.due.Store(0)
	x.mu.Lock()
	last := x.single
	x.single, x.offset, x.why = cancel, x.first+int64(i), nil
	x.mu.Unlock()
	if last != nil {
		last(nil)
	}
	return own
}

// awaited names the result of the future that runs. stop ends the context of that future,
// and is nil if none runs that was not stopped.
func (x *runningCall) awaited() (id string, stop func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.single == nil || x.why != nil {
		return "", nil
	}
	id, cancel := broker.FutureID(x.source, x.offset), x.single
	return id, func() {
		cancel(runner.ErrCanceled)
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.single != nil && broker.FutureID(x.source, x.offset) == id {
			x.why = runner.ErrCanceled
			x.Limit(time.Now())
		}
	}
}

// end ends the context of the slot if it runs the function of a route.
func (x *runningCall) end(r *route) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.route == r {
		x.cancel(runner.ErrStageEnded)
		x.note(runner.ErrStageEnded)
	}
}

// cut notes that the context of the slot has ended with that of the worker.
func (x *runningCall) cut(why error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.note(why)
}

func (x *runningCall) note(why error) {
	if x.ended.IsZero() {
		x.ended, x.why = time.Now(), why
	}
}

// A call that hangs.
type hung struct {
	route  *route
	source string
	offset int64
	items  int // it is at one of so many
	ended  time.Time
	why    error
}

func (h hung) attrs() []any {
	attrs := []any{"stage", h.route.stage.ID, "function", h.route.stage.Function, "queue", h.route.In, "source", h.source, "offset", h.offset}
	if h.items > 1 {
		attrs = append(attrs, "items", h.items)
	}
	return append(attrs, "ended", h.ended.Format(time.RFC3339), "why", h.why)
}

// hangs tells which call should be reported now, if any.
func (x *runningCall) hangs(now time.Time) (h hung, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h = x.hung(); x.route == nil || h.ended.IsZero() || now.Sub(h.ended) < x.patience {
		return hung{}, false
	}
	x.late = true
	x.patience *= 2
	return h, true
}

// attrs describes the call that runs.
func (x *runningCall) attrs() []any {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.hung().attrs()
}

// hung is the call that runs. Its context has ended, unless ended is zero or not yet there.
func (x *runningCall) hung() hung {
	at := x.at.Load()
	h := hung{
		route: x.route, source: x.source, offset: x.first + at/(2*batch.MaxItems), items: int(at % (2 * batch.MaxItems)),
		ended: x.ended, why: x.why,
	}
	if due := x.due.Load(); due > 0 {
		if at := x.epoch.Add(time.Duration(due)); h.ended.IsZero() || at.Before(h.ended) {
			h.ended = at
		}
		if h.why == nil {
			h.why = context.DeadlineExceeded
		}
	}
	return h
}

// done notes that the function has returned, and tells whether it was reported.
func (x *runningCall) done() (h hung, late bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h, late = x.hung(), x.late
	if x.single != nil {
		x.single(nil)
	}
	x.route, x.single, x.late = nil, nil, false
	return h, late
}

// busy tells whether a function runs.
func (x *runningCall) busy() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.route != nil
}

// endStage ends the calls that run for a route.
func (l *session) endStage(r *route) {
	r.ended.Store(true)
	for _, h := range l.slots {
		h.now.end(r)
	}
}

// cutOff notes that the context of all slots has ended.
func (l *session) cutOff(why error) {
	for _, h := range l.slots {
		h.now.cut(why)
	}
}

// lookForHung reports the calls that hang, and tells whether any call runs.
func (l *session) lookForHung() (busy bool) {
	for _, h := range l.slots {
		if late, ok := h.now.hangs(time.Now()); ok {
			l.log.Warn("a function does not return although its context has ended; its slot is taken until it does", late.attrs()...)
		}
		busy = busy || h.now.busy()
	}
	return busy
}

// Item returns the item that the function runs on, if one runs.
func (x *runningCall) Item() (item runner.Item, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.route == nil {
		return runner.Item{}, false
	}
	index := 0
	if x.positioner != nil {
		index = x.positioner.Position()
	}
	return runner.Item{Queue: x.route.In, Source: x.source, Offset: x.first + int64(index), Attempt: x.attempt}, true
}

// stuck notes that the call of a slot is left behind. returned is called when it returns.
func (h *slot) stuck() (returned func()) {
	attrs := h.now.attrs()
	h.log.Warn("a function does not return although its context has ended; its goroutine is left behind and its slot goes on", attrs...)
	left, ofFunction := &h.worker.counts.left, &h.route.breaker.left
	left.Add(1)
	ofFunction.Add(1)
	return func() {
		left.Add(-1)
		ofFunction.Add(-1)
		h.log.Info("a function that was left behind has returned", attrs...)
	}
}

// cancelStale calls canceled once a heartbeat until ctx ends: a hint may be lost.
func (l *session) cancelStale(ctx context.Context) {
	tick := time.NewTicker(l.lease / broker.Beats)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.canceled(ctx); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "canceled futures cannot be read", "err", err)
		}
	}
}

// canceled stops the functions whose futures have a result already.
func (l *session) canceled(ctx context.Context) error {
	var ids []string
	var stops []func()
	for _, h := range l.slots {
		if id, stop := h.now.awaited(); stop != nil {
			ids, stops = append(ids, id), append(stops, stop)
		}
	}
	if ids == nil {
		return nil
	}
	settled, err := l.client.Settled(ctx, ids)
	for i, done := range settled {
		if done {
			stops[i]()
		}
	}
	return err
}
