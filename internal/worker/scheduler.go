package worker

import (
	"slices"
	"time"
)

const (
	few      = 32                     // routes that are asked at a time, if nothing comes from them
	recently = 100 * time.Millisecond // a route had something, or may have soon
)

// A routeScheduler is in which order routes are asked for work. What it costs to choose does
// not grow with how many there are, while work comes from a few of them.
type routeScheduler struct {
	all  []*route
	busy []*route // those that work came from lately or may come from soon, and of which some is held
	turn int      // of all, the one that is next
}

// replace takes over what there is now. Of a few that are new, work comes soon.
func (s *routeScheduler) replace(all, fresh []*route) {
	s.all = all
	if len(fresh) <= few {
		for _, r := range fresh {
			r.found = time.Now()
		}
	}
	s.busy = s.busy[:0]
	for _, r := range all {
		if r.busy = !r.quiet(); r.busy {
			s.busy = append(s.busy, r)
		}
	}
}

// found takes note that work came from a route: there may be more, and soon also
// behind it.
func (s *routeScheduler) found(r *route) {
	now := time.Now()
	note := func(r *route) {
		if r.found = now; !r.busy {
			s.busy, r.busy = append(s.busy, r), true
		}
	}
	note(r)
	for _, next := range r.behind {
		note(next)
	}
}

// quiet reports whether nothing is to be expected of a route more than of others.
func (r *route) quiet() bool { return r.jobs.Load() == 0 && time.Since(r.found) >= recently }

// open reports whether a route may be read.
func (r *route) open() bool {
	return !r.sick && !r.breaker.rests() && (r.full.IsZero() || time.Since(r.full) >= fullWait)
}

// next returns at most n routes that may be read, each time beginning behind the last one.
func (s *routeScheduler) next(n int) (routes []*route) {
	for range s.all {
		if len(routes) == n {
			break
		}
		s.turn++
		if r := s.all[s.turn%len(s.all)]; r.open() {
			routes = append(routes, r)
		}
	}
	return routes
}

// open are the routes that may be read, each time beginning with another one.
func (s *routeScheduler) open() []*route {
	s.turn++
	return s.next(len(s.all))
}

// asked are the routes that are asked for more: all of a few. Of many, those that
// are busy, which lately tells, or else some in turns; what the others have is found
// by a read, which is cheaper.
func (s *routeScheduler) asked() (routes []*route, lately bool) {
	s.busy = slices.DeleteFunc(s.busy, func(r *route) bool {
		r.busy = !r.quiet()
		return !r.busy
	})
	if len(s.all) <= few {
		return s.open(), false
	}
	for i := range s.busy {
		if r := s.busy[(i+s.turn)%len(s.busy)]; r.open() {
			routes = append(routes, r)
		}
	}
	if len(routes) == 0 {
		return s.next(few), false
	}
	s.turn++
	return routes, true
}

// others are some of the routes that are not asked, where there are such.
func (s *routeScheduler) others(n int) []*route {
	if len(s.all) <= few {
		return nil
	}
	return s.next(n)
}

// working are the ids of the stages of which something is held.
func (s *routeScheduler) working() (ids []string) {
	for _, r := range s.busy {
		if r.jobs.Load() > 0 {
			ids = append(ids, r.stage.ID)
		}
	}
	return ids
}

// dear is how many entries are held of routes that have no stock.
func (s *routeScheduler) dear() (n int) {
	for _, r := range s.busy {
		if r.ahead.Load() == 0 {
			n += int(r.jobs.Load())
		}
	}
	return n
}
