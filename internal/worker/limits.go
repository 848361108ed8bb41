package worker

import (
	"context"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A heldRoute is what the fetcher knows of the limits of a stage, which take.lua keeps for all workers.
// The fetcher reads such a route by Take alone: a blocked read would ignore the limits.
type heldRoute struct {
	until time.Time // when to ask again; zero: at once
	due   bool      // until is the time at which a call may begin, and this worker asks then
	most  int       // items of an entry of the last request that a call may have; 0: any number
}

// limited reports whether the stage has limits.
func (r *route) limited() bool { return r.stage.Limits != nil }

// rated reports whether calls of the stage pay for a rate.
func (r *route) rated() bool { return r.limited() && r.stage.Limits.Rate > 0 }

// batched reports whether a call of the stage has the items of several entries, which Take has chosen.
func (r *route) batched() bool { return r.limited() && r.stage.Limits.Batch > 0 }

// request returns the route as Take asks for it. For a stage with a rate, an entry has no more items than
// run in a time slice: the rest of an entry that a slot leaves pays once more. It has half of a burst at
// most, so that the next calls are due before the stage may begin a whole burst: from then on, the calls that
// it does not begin are lost to the rate.
func (r *route) request() broker.Route {
	ask := r.Route
	if r.batched() {
		ask.Calls = int(r.jobs.Load())
		return ask
	}
	if r.rated() {
		r.held.most = (r.stage.Limits.Burst + 1) / 2
		if room := int(r.maxItems.Load()); room > 0 {
			r.held.most = min(r.held.most, room)
		}
		if cost := r.cost(); cost > 0 {
			r.held.most = min(r.held.most, timeSliceItems(1, cost))
		} else {
			r.held.most = 1
		}
		ask.Most = r.held.most
	}
	return ask
}

// noteHeld records the answer of Take for a limited route. Without entries, the worker is told of new ones,
// and asks again if that hint is lost.
func (f *fetcher) noteHeld(r *route, t broker.Taken) {
	if !r.limited() {
		return
	}
	r.held.until, r.held.due = time.Time{}, t.Wait > 0
	switch {
	case r.held.due:
		r.held.until = time.Now().Add(t.Wait)
		f.keepBusy(r)
	case t.Full || t.Beyond || t.Sick: // another hint tells that the queue may be read, and names another queue
	case t.Held || len(t.Entries) == 0 && !t.Left:
		r.held.until = time.Now().Add(f.client.Patience(readWait))
	}
}

// isHeld reports whether a limit holds the route, as far as the fetcher knows.
func (r *route) isHeld() bool { return !r.held.until.IsZero() && time.Now().Before(r.held.until) }

// untilHeld returns a wait that ends when a call of a held route is due.
func (f *fetcher) untilHeld(wait time.Duration) time.Duration {
	for _, r := range f.all {
		if r.held.due && r.takable() {
			wait = min(wait, max(time.Until(r.held.until), time.Millisecond))
		}
	}
	return wait
}

// dueRoutes returns the held routes whose calls are due. At rings, this worker alone asks for them.
func (f *fetcher) dueRoutes() (due []*route) {
	for _, r := range f.busy {
		if r.held.due && !r.isHeld() {
			due = append(due, r)
		}
	}
	return due
}

// yieldDue lets another worker ask for routes whose calls are due.
func (f *fetcher) yieldDue(ctx context.Context, routes []*route) error {
	if len(routes) == 0 {
		return nil
	}
	if err := f.markUnread(ctx, routes); err != nil {
		return err
	}
	for _, r := range routes {
		r.held = heldRoute{most: r.held.most}
	}
	return nil
}

// released makes the fetcher ask for a limited route again, after a hint.
func (f *fetcher) released(queue string) {
	for _, r := range f.all {
		if r.limited() && r.In == queue {
			r.held.until, r.held.due = time.Time{}, false
			f.keepBusy(r)
		}
	}
}

// batchOf returns a function that dispatches the entries of one call. With cut, it dispatches them to be
// cut into parts of so many items. If there is no slot, the entries go back.
func (f *fetcher) batchOf(cut int) func(ctx context.Context, r *route, entries []broker.Entry) error {
	return func(ctx context.Context, r *route, entries []broker.Entry) error {
		if err := f.client.Fetch(ctx, &f.memory, entries); err != nil {
			return err
		}
		entries = slices.DeleteFunc(entries, func(e broker.Entry) bool { return !f.entries.add(e.Ref) })
		if len(entries) == 0 {
			return nil
		}
		f.noteWork(r)
		if f.worker.draining.Load() || len(f.work) == cap(f.work) || !r.limiter.begin() {
			for _, e := range entries {
				f.completions <- requeue(r, e, e.Batch)
			}
			return nil
		}
		j := f.newJob(r, entries[0])
		if j.more = entries[1:]; cut > 0 {
			j.leaf = cut
		} else {
			j.items = r.stage.Limits.Batch
		}
		f.work <- *j // the only sender
		return nil
	}
}

// doBatch runs the first items of the entries of a job in one call. The others go back.
func (s *slot) doBatch(ctx context.Context, j job, made []completion) []completion {
	entries := append([]broker.Entry{j.entry}, j.more...)
	parts, left := make([]batch.Batch, 0, len(entries)), j.items
	for _, e := range entries {
		if left <= 0 || !joinable(e) && len(entries) > 1 {
			break
		}
		part, items, err := e.Head(left)
		if err != nil || part.N == 0 {
			break
		}
		parts, left = append(parts, part), left-items
	}
	if len(entries) > 1 && len(parts) > 0 && !s.stopping.Load() && !j.route.stopped() {
		whole, err := batch.Concat(parts, &s.memory)
		if err == nil {
			s.parts = parts
			defer func() { s.parts = nil }()
			if made, ok := s.runJoined(ctx, j, whole, entries); ok {
				return made
			}
		}
	}
	for _, e := range entries {
		if len(entries) == 1 {
			made = append(made, s.do(ctx, job{route: j.route, entry: e, leaf: j.items, since: j.since}))
		} else { // a malformed one, or a group that is too large, has a call of its own next time
			made = append(made, requeue(j.route, e, e.Batch))
		}
	}
	return made
}
