package worker

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// reportPace times the number of live workers is the least time between two reports of a worker.
	// So a fleet of any size sends at most 50 reports a second.
	reportPace = 20 * time.Millisecond
	// reportStages is the number of stages of a report at most. With 50 stages Redis is busy for about
	// a millisecond.
	reportStages = 50
	// shownName limits the names of sources in that list.
	shownName = 256
)

// A reporter sends the counts of the routes of a session.
type reporter struct {
	fleet   atomic.Int64 // live workers at the last heartbeat
	busy    atomic.Int64 // ns that slots worked, as reported
	watched atomic.Bool  // the card shows all running items
	denied  atomic.Bool  // the Redis user may not report, as the card says

	mu     sync.Mutex
	routes []*route          // those of the session, and ended ones until their counts are reported
	totals map[string]*total // by id of the stage: the counts that were taken from its routes

	// Only the goroutine that calls report uses these, and leave when it has ended:
	unsent broker.Report // without a reply; Stages is nil if there is none
	number int64         // of the last report
	last   time.Time     // when it was sent
	muted  bool          // the Redis user may not report, or the session is fenced
}

// add makes the reporter send the counts of routes. The fetcher calls it.
func (p *reporter) add(routes []*route) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range routes {
		if !r.metered {
			r.metered = true
			p.routes = append(p.routes, r)
		}
	}
}

// pace returns the time between two reports.
func (p *reporter) pace(beat time.Duration) time.Duration {
	return max(beat, time.Duration(p.fleet.Load())*reportPace)
}

// report sends the counts since the last report, if there are any and a report is due. A report
// that failed is sent again, with its number, by the next call.
func (s *session) report(ctx context.Context) {
	p, now := &s.reporter, time.Now()
	beat := s.lease / broker.Beats
	if now.Sub(p.last) < p.pace(beat)-beat/8 {
		return
	}
	s.countRunning(now)
	if !p.collect(now) {
		return
	}
	p.last = now
	if p.muted {
		p.unsent = broker.Report{}
		return
	}
	limit, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	s.send(limit)
}

// reportRest sends all counts, at the end of the session.
func (s *session) reportRest(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, closing/4)
	defer cancel()
	for p := &s.reporter; !p.muted && p.collect(time.Now()); {
		if !s.send(limit) {
			return
		}
	}
}

// collect takes the counts of routes for the next report, unless one is unsent. It returns false if
// there is no report to send. It forgets ended routes without counts.
func (p *reporter) collect(now time.Time) bool {
	if p.unsent.Stages != nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var stages []broker.StageWork
	looked := 0
	for ; looked < len(p.routes) && len(stages) < reportStages; looked++ {
		w, ok := p.routes[looked].work(now)
		if ok {
			stages = append(stages, w)
			p.busy.Add(int64(w.Counts.Busy))
			p.addTotal(w)
		} else if r := p.routes[looked]; r.ended() && r.jobs.Load() == 0 {
			p.routes[looked] = nil
		}
	}
	rest := slices.Clone(p.routes[looked:]) // these are first in the next report
	p.routes = slices.DeleteFunc(append(rest, p.routes[:looked]...), func(r *route) bool { return r == nil })
	p.forgetTotals()
	if stages == nil {
		return false
	}
	p.number++
	p.unsent = broker.Report{Number: p.number, Stages: stages}
	return true
}

// send sends the unsent report. It returns false if that has failed.
func (s *session) send(ctx context.Context) bool {
	p := &s.reporter
	watched, err := s.client.Report(ctx, s.id, p.unsent)
	switch {
	case err == nil:
		p.unsent = broker.Report{}
		p.watched.Store(watched)
		return true
	case errors.Is(err, broker.ErrDenied), errors.Is(err, broker.ErrFenced):
		p.muted, p.unsent = true, broker.Report{}
		p.denied.Store(errors.Is(err, broker.ErrDenied))
		s.log.DebugContext(ctx, "this worker does not report its work any more", "worker", s.id, "err", err)
	default:
		s.log.DebugContext(ctx, "a report failed; it is sent again", "number", p.unsent.Number, "err", err)
	}
	return false
}

// countRunning adds the time of the calls that have not returned to the counts of their routes.
func (s *session) countRunning(now time.Time) {
	for _, h := range s.slots.list() {
		if r, d := h.now.count(now); d > 0 {
			r.isBusy(d)
		}
	}
}

// count returns the route of the current call, and the time of the call that was not counted before.
func (c *runningCall) count(now time.Time) (*route, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.route == nil {
		return nil, 0
	}
	d := now.Sub(c.epoch) - c.begun - c.counted
	c.counted += max(0, d)
	return c.route, d
}

// runningItems returns the items that slots have run for a while, or all if the workers are watched,
// as a list of the card: those that run longest first.
func (s *session) runningItems(now time.Time) string {
	var items []broker.RunningItem
	all := s.reporter.watched.Load()
	for _, h := range s.slots.list() {
		if item, ok := h.now.item(now); ok && (all || item.For > broker.RunningFor.Milliseconds()) {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b broker.RunningItem) int { return cmp.Compare(b.For, a.For) })
	return broker.CardList(items)
}

// item returns the current item. Its time is known from the begin of a call for the first item, and
// for others from the first call of item that found it.
func (c *runningCall) item(now time.Time) (item broker.RunningItem, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.route == nil {
		return item, false
	}
	at, clock := c.at.Load(), now.Sub(c.epoch)
	index := at / (2 * batch.MaxItems)
	switch {
	case index == 0:
		c.seen = itemSeen{c.begun, at, c.begun}
	case c.seen.call != c.begun || c.seen.at != at:
		c.seen = itemSeen{c.begun, at, clock}
	}
	stage := &c.route.stage
	return broker.RunningItem{
		Stage: stage.ID, Function: stage.Function, Queue: c.route.In, Source: shortened(c.source, shownName), Offset: c.first + index,
		Items: int(at % (2 * batch.MaxItems)), Attempt: c.attempt, For: max(0, clock-c.seen.since).Milliseconds(),
	}, true
}

// An itemSeen is the item of a call that the last heartbeat found, and since when it runs. Times are
// since the epoch of the call's slot.
type itemSeen struct {
	call  time.Duration // begin of the call
	at    int64         // see runningCall.at
	since time.Duration
}
