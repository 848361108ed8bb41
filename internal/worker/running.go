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

// hungAfter is the time that a function may run after the end of its context until it is reported.
// Each further report takes twice as long.
const hungAfter = 5 * time.Second

// A runningCall is the current call of a slot, as other goroutines see it. The slot has one context
// for all of its calls, until a stage ends.
type runningCall struct {
	epoch time.Time
	at    atomic.Int64 // index and number of the items that the function may be at, see Span
	due   atomic.Int64 // end of the context of the item, in ns since epoch; 0: it ends with that of the slot

	mu         sync.Mutex
	cancel     context.CancelCauseFunc // of the context of the slot
	route      *route                  // nil: no call
	source     string
	first      int64
	parts      []batch.Batch // of a call whose batches are not adjacent; nil: they are
	attempt    int
	begun      time.Duration           // of the call, since epoch
	counted    time.Duration           // time of the call that was reported
	positioner runner.Positioner       // asked only by the function
	ended      time.Time               // end of the context of the slot during the call; zero: it has not ended
	why        error                   // that context, or that of the item, has ended
	single     context.CancelCauseFunc // of the context of a future; nil: none
	offset     int64                   // of that future
	patience   time.Duration           // time after the end of the context until the next report
	late       bool                    // the call was reported
	abandoned  chan struct{}           // closed when the goroutine of the slot ends; nil: the slot has no successor
	seen       itemSeen
}

// open returns a new context for the slot.
func (c *runningCall) open(ctx context.Context) context.Context {
	own, cancel := context.WithCancelCause(runner.WithLocator(ctx, c))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel(nil)
	}
	c.cancel = cancel
	return own
}

// close ends the context of the slot.
func (c *runningCall) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel(nil)
}

// begin records that a function is about to run on a batch. It returns false if the stage is
// paused or has ended.
func (c *runningCall) begin(r *route, b batch.Batch, parts []batch.Batch, attempt int) bool {
	c.due.Store(0)
	c.Span(0, b.N)
	c.mu.Lock()
	c.route, c.source, c.first, c.parts, c.attempt, c.positioner = r, b.Source, b.First, parts, attempt, nil
	c.ended, c.why, c.patience = time.Time{}, nil, hungAfter
	c.begun, c.counted = time.Since(c.epoch), 0
	c.mu.Unlock()
	return !r.stopped()
}

// origin returns the source and the offset of an item, by its offset in the batch of the call.
func (c *runningCall) origin(offset int64) (source string, at int64) {
	at = offset - c.first
	for _, part := range c.parts {
		if at < int64(part.N) {
			return part.Source, part.First + at
		}
		at -= int64(part.N)
	}
	return c.source, offset
}

// inCall is the inverse of origin. It returns -1 for an item that the call does not have.
func (c *runningCall) inCall(source string, offset int64) int64 {
	if c.parts == nil && c.source == source {
		return offset
	}
	at := c.first
	for _, part := range c.parts {
		if part.Source == source && part.First <= offset && offset < part.End() {
			return at + offset - part.First
		}
		at += int64(part.N)
	}
	return -1
}

// Span records that the function runs on one of n items from the i-th of the batch on.
func (c *runningCall) Span(i, n int) {
	c.at.Store(int64(i)*2*batch.MaxItems + int64(n))
}

// Follow records the source of the current index.
func (c *runningCall) Follow(p runner.Positioner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.positioner = p
}

// Limit records when the context of the item will end.
func (c *runningCall) Limit(deadline time.Time) {
	c.due.Store(int64(deadline.Sub(c.epoch)))
}

// Future returns a context for the i-th item of the batch, and ends that of the item before.
func (c *runningCall) Future(ctx context.Context, i int) context.Context {
	own, cancel := context.WithCancelCause(ctx)
	c.due.Store(0)
	c.mu.Lock()
	last := c.single
	c.single, c.offset, c.why = cancel, c.first+int64(i), nil
	c.mu.Unlock()
	if last != nil {
		last(nil)
	}
	return own
}

// future returns the id of the future that runs. stop ends its context. stop is nil if no future
// runs or it was stopped before.
func (c *runningCall) future() (id string, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.single == nil || c.why != nil {
		return "", nil
	}
	id, cancel := broker.FutureID(c.source, c.offset), c.single
	return id, func() {
		cancel(runner.ErrCanceled)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.single != nil && broker.FutureID(c.source, c.offset) == id {
			c.why = runner.ErrCanceled
			c.Limit(time.Now())
		}
	}
}

// end ends the context of the slot if it runs the function of a route.
func (c *runningCall) end(r *route) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.route == r {
		c.cancel(runner.ErrStageEnded)
		c.note(runner.ErrStageEnded)
	}
}

// cancelItem ends the context of the slot if the function runs on an item, or on one of several of
// which an operator means this one.
func (c *runningCall) cancelItem(source string, offset int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first, n, ok := c.runsOn(source, offset)
	if !ok {
		return
	}
	if c.route.function.Whole { // it runs on all of them
		first, n = c.inCall(source, offset), 1
	}
	why := &runner.CanceledItems{First: first, N: n}
	c.cancel(why)
	c.note(why)
}

// runsOn reports whether the function may run on an item, and the items that it may be at.
func (c *runningCall) runsOn(source string, offset int64) (first int64, n int, ok bool) {
	at := c.at.Load()
	first, n = c.first+at/(2*batch.MaxItems), int(at%(2*batch.MaxItems))
	offset = c.inCall(source, offset)
	return first, n, c.route != nil && first <= offset && offset < first+int64(n)
}

// isAbandoned reports whether the slot has a successor.
func (c *runningCall) isAbandoned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.abandoned != nil
}

// cut records that the context of the slot has ended with that of the worker.
func (c *runningCall) cut(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(why)
}

func (c *runningCall) note(why error) {
	if c.ended.IsZero() {
		c.ended, c.why = time.Now(), why
	}
}

// A hung call is one that runs although its context has ended.
type hung struct {
	route  *route
	source string
	offset int64
	items  int // that it may be at
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

// hangs returns the call if it has to be reported now.
func (c *runningCall) hangs(now time.Time) (h hung, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h = c.hung(); c.route == nil || h.ended.IsZero() || now.Sub(h.ended) < c.patience {
		return hung{}, false
	}
	c.late = true
	c.patience *= 2
	return h, true
}

// attrs returns log attributes of the current call.
func (c *runningCall) attrs() []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hung().attrs()
}

// hung returns the current call. Its context has ended if ended is in the past and not zero.
func (c *runningCall) hung() hung {
	at := c.at.Load()
	h := hung{
		route: c.route, source: c.source, offset: c.first + at/(2*batch.MaxItems), items: int(at % (2 * batch.MaxItems)),
		ended: c.ended, why: c.why,
	}
	h.source, h.offset = c.origin(h.offset)
	if due := c.due.Load(); due > 0 {
		if at := c.epoch.Add(time.Duration(due)); h.ended.IsZero() || at.Before(h.ended) {
			h.ended = at
		}
		if h.why == nil {
			h.why = context.DeadlineExceeded
		}
	}
	return h
}

// done records that the function has returned. late reports whether it was reported as hung.
// counted is the time of the call that was reported.
func (c *runningCall) done() (h hung, late bool, counted time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, late, counted = c.hung(), c.late, c.counted
	if c.single != nil {
		c.single(nil)
	}
	c.route, c.single, c.late = nil, nil, false
	return h, late, counted
}

// busy reports whether a function runs.
func (c *runningCall) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.route != nil
}

// endStage ends the calls that run for a route.
func (s *session) endStage(r *route) {
	r.standing.Store(over)
	for _, h := range s.slots.list() {
		h.now.end(r)
	}
}

// cutOff records that the context of all slots has ended.
func (s *session) cutOff(why error) {
	for _, h := range s.slots.list() {
		h.now.cut(why)
	}
}

// lookForHung logs the calls that hang. busy reports whether any call runs.
func (s *session) lookForHung() (busy bool) {
	for _, h := range s.slots.list() {
		if late, ok := h.now.hangs(time.Now()); ok {
			s.log.Warn("a function does not return although its context has ended; its slot is taken until it does", late.attrs()...)
		}
		busy = busy || h.now.busy()
	}
	return busy
}

// Item returns the item that the function runs on, if one runs.
func (c *runningCall) Item() (item runner.Item, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.route == nil {
		return runner.Item{}, false
	}
	index := 0
	if c.positioner != nil {
		index = c.positioner.Position()
	}
	source, offset := c.origin(c.first + int64(index))
	return runner.Item{Queue: c.route.In, Source: source, Offset: offset, Attempt: c.attempt}, true
}

// stuck counts and logs that the call of a slot is left behind. The caller calls returned when the
// function returns.
func (s *slot) stuck() (returned func()) { return s.leaveBehind(s.route, s.now.attrs()) }

// leaveBehind is stuck for a call of a route, with attributes for the log.
func (s *session) leaveBehind(r *route, attrs []any) (returned func()) {
	s.log.Warn("a function does not return although its context has ended; its goroutine is left behind and its slot goes on", attrs...)
	left, ofFunction := &s.worker.counts.left, &r.breaker.left
	left.Add(1)
	ofFunction.Add(1)
	return func() {
		left.Add(-1)
		ofFunction.Add(-1)
		s.log.Info("a function that was left behind has returned", attrs...)
	}
}

// atEachBeat calls canceled once a heartbeat until ctx ends, since a hint may be lost, and reports
// and logs the work.
func (s *session) atEachBeat(ctx context.Context) {
	s.reporter.log.since = time.Now()
	tick := time.NewTicker(s.lease / broker.Beats)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.canceled(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "canceled futures cannot be read", "err", err)
		}
		s.report(ctx)
		s.logWork(ctx, time.Now(), logPace)
	}
}

// canceled ends the contexts of calls whose futures have a result already.
func (s *session) canceled(ctx context.Context) error {
	var ids []string
	var stops []func()
	for _, h := range s.slots.list() {
		if id, stop := h.now.future(); stop != nil {
			ids, stops = append(ids, id), append(stops, stop)
		}
	}
	if ids == nil {
		return nil
	}
	settled, err := s.client.Settled(ctx, ids)
	for i, done := range settled {
		if done {
			stops[i]()
		}
	}
	return err
}
