package workers

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// errStageEnded is why the context of a function ended whose stage was removed or replaced.
var errStageEnded = errors.New("the stage was removed or replaced")

// stageEnded reports whether the context of a call has ended with its stage: then the stage
// wants no result of the call.
func stageEnded(ctx context.Context) bool {
	return ctx.Err() != nil && errors.Is(context.Cause(ctx), errStageEnded)
}

// hungAfter is how long after the end of its context a function may run until it is
// reported. Each further report takes twice as long.
const hungAfter = 5 * time.Second

// A runningCall is what a slot runs, as other goroutines see it: one call at a time of the
// function of a stage. The slot has one context for all of its calls, until a stage ends.
type runningCall struct {
	epoch time.Time
	at    atomic.Int64 // the items that f may be at, see span
	due   atomic.Int64 // when the context of the item ends, in ns since epoch; 0: with that of the slot

	mu       sync.Mutex
	cancel   context.CancelCauseFunc // of the context of the slot
	route    *route                  // nil: no function runs
	source   string
	first    int64
	attempt  int
	runner   interface{ position() int } // of f, which tells the item that it is at; only for f itself
	ended    time.Time                   // of the context of the slot, since the call began; zero: it has not
	why      error                       // it or that of the item ended
	single   context.CancelCauseFunc     // of the context of a future, nil where there is none
	offset   int64                       // of that future
	patience time.Duration               // time after the end of the context until the next report
	late     bool                        // the call was reported
}

// open returns a new context for the slot.
func (x *runningCall) open(ctx context.Context) context.Context {
	own, cancel := context.WithCancelCause(context.WithValue(ctx, itemKey{}, x))
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
	x.span(0, b.N)
	x.mu.Lock()
	x.route, x.source, x.first, x.attempt, x.runner = r, b.Source, b.First, attempt, nil
	x.ended, x.why, x.patience = time.Time{}, nil, hungAfter
	x.mu.Unlock()
	return !r.ended.Load()
}

// span notes that the function runs on one of n items from the i-th of the batch on.
func (x *runningCall) span(i, n int) {
	if x != nil {
		x.at.Store(int64(i)*2*batch.MaxItems + int64(n))
	}
}

// follow notes who knows the item that the function is at.
func (x *runningCall) follow(runner interface{ position() int }) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.runner = runner
}

// limit notes when the context of the item will end.
func (x *runningCall) limit(deadline time.Time) {
	if x != nil {
		x.due.Store(int64(deadline.Sub(x.epoch)))
	}
}

// future returns a context for the i-th item of the batch, which ends the one of the future
// before.
func (x *runningCall) future(ctx context.Context, i int) context.Context {
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
		cancel(errCanceled)
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.single != nil && broker.FutureID(x.source, x.offset) == id {
			x.why = errCanceled
			x.limit(time.Now())
		}
	}
}

// end ends the context of the slot if it runs the function of a route.
func (x *runningCall) end(r *route) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.route == r {
		x.cancel(errStageEnded)
		x.note(errStageEnded)
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
