package worker

import (
	"slices"
	"time"
)

const (
	polledRoutes = 32                     // routes of one poll while none of them is busy
	activeFor    = 100 * time.Millisecond // time that a route counts as busy after it had work
)

// A routeScheduler chooses the routes to poll. Its cost does not grow with the number of routes
// while few of them have work.
type routeScheduler struct {
	all  []*route
	busy []*route // routes with recent or likely work, or with jobs
	turn int      // index of the next route; it moves on with each route that had work

	order []*route // the last result of lastStagesFirst
}

// replace sets the routes. A few new routes count as busy, since their work comes soon.
func (s *routeScheduler) replace(all, fresh []*route) {
	s.all = all
	if len(fresh) <= polledRoutes {
		for _, r := range fresh {
			r.active = time.Now()
		}
	}
	s.busy = s.busy[:0]
	for _, r := range all {
		if r.busy = !r.idle(); r.busy {
			s.busy = append(s.busy, r)
		}
	}
}

// noteWork records that a route had work: it and its readers may have more soon.
func (s *routeScheduler) noteWork(r *route) {
	s.turn++
	s.keepBusy(r)
	for _, next := range r.readers {
		s.keepBusy(next)
	}
}

// keepBusy makes a route count as busy for a while.
func (s *routeScheduler) keepBusy(r *route) {
	if r.active = time.Now(); !r.busy {
		s.busy, r.busy = append(s.busy, r), true
	}
}

// idle reports whether a route has no jobs and no recent work, and no call of it is due.
func (r *route) idle() bool {
	return r.jobs.Load() == 0 && time.Since(r.active) >= activeFor && !r.held.due
}

// pollable reports whether a route may be read.
func (r *route) pollable() bool {
	return r.takable() && (r.full.IsZero() || time.Since(r.full) >= fullWait) && (!r.limited() || !r.isHeld())
}

// untilFull returns a wait that ends when a full out-queue is looked at again without a hint. A gather
// makes room with each entry that it reads, and hints at it only with the next acknowledgement: none comes
// while it holds items and waits for an earlier one.
func (s *routeScheduler) untilFull(wait time.Duration) time.Duration {
	for _, r := range s.all {
		if !r.full.IsZero() && r.takable() {
			wait = min(wait, max(time.Until(r.full.Add(fullWait)), time.Millisecond))
		}
	}
	return wait
}

// next returns at most n pollable routes, in round-robin order.
func (s *routeScheduler) next(n int) (routes []*route) {
	for range s.all {
		if len(routes) == n {
			break
		}
		s.turn++
		if r := s.all[s.turn%len(s.all)]; r.pollable() {
			routes = append(routes, r)
		}
	}
	return routes
}

// allPollable returns all pollable routes. After a route had work, it begins with the next one. If it
// did so with each call, calls without a free slot between two takes could give each slot to the same route.
func (s *routeScheduler) allPollable() []*route { return s.next(len(s.all)) }

// toPoll returns the routes to poll now. Up to polledRoutes routes: all of them. More: the busy
// ones (lately is true), or otherwise the next polledRoutes in round-robin order. A blocked read,
// which is cheaper, covers the others.
func (s *routeScheduler) toPoll() (routes []*route, lately bool) {
	s.prune()
	if len(s.all) <= polledRoutes {
		return s.lastStagesFirst(s.allPollable()), false
	}
	for i := range s.busy {
		if r := s.busy[(i+s.turn)%len(s.busy)]; r.pollable() {
			routes = append(routes, r)
		}
	}
	if len(routes) == 0 {
		return s.next(polledRoutes), false
	}
	return s.lastStagesFirst(routes), true
}

// prune drops the routes that are not busy any more.
func (s *routeScheduler) prune() {
	s.busy = slices.DeleteFunc(s.busy, func(r *route) bool {
		r.busy = !r.idle()
		return !r.busy
	})
}

// lastStagesFirst moves each route behind those that read its out-queues. Otherwise a fast stage would
// fill the queue behind it for as long as it has items, and the items that came first would wait there
// until it has none.
func (s *routeScheduler) lastStagesFirst(routes []*route) []*route {
	if !slices.ContainsFunc(routes, func(r *route) bool { return len(r.readers) > 0 }) {
		return routes
	}
	s.order = s.order[:0]
	for _, r := range routes {
		r.listed = true
	}
	for _, r := range routes {
		s.place(r)
	}
	return s.order
}

// place adds a route to the order, if it is listed and not in it, behind its readers.
func (s *routeScheduler) place(r *route) {
	if !r.listed {
		return
	}
	r.listed = false
	for _, reader := range r.readers {
		s.place(reader)
	}
	s.order = append(s.order, r)
}

// sample returns up to n further routes if toPoll leaves some out.
func (s *routeScheduler) sample(n int) []*route {
	if len(s.all) <= polledRoutes {
		return nil
	}
	return s.next(n)
}

// workingStages returns the ids of the stages with jobs or recent work.
func (s *routeScheduler) workingStages() (ids []string) {
	for _, r := range s.busy {
		ids = append(ids, r.stage.ID)
	}
	return ids
}

// busyStages returns the ids of the stages with jobs.
func (s *routeScheduler) busyStages() (ids []string) {
	for _, r := range s.busy {
		if r.jobs.Load() > 0 {
			ids = append(ids, r.stage.ID)
		}
	}
	return ids
}

// expensive returns the number of jobs of routes without stock.
func (s *routeScheduler) expensive() (n int) {
	for _, r := range s.busy {
		if r.ahead.Load() == 0 {
			n += int(r.jobs.Load())
		}
	}
	return n
}
