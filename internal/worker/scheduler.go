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
func (o *routeScheduler) replace(all, fresh []*route) {
	o.all = all
	if len(fresh) <= few {
		for _, r := range fresh {
			r.found = time.Now()
		}
	}
	o.busy = o.busy[:0]
	for _, r := range all {
		if r.busy = !r.quiet(); r.busy {
			o.busy = append(o.busy, r)
		}
	}
}

// found takes note that work came from a route: there may be more, and soon also
// behind it.
func (o *routeScheduler) found(r *route) {
	now := time.Now()
	note := func(r *route) {
		if r.found = now; !r.busy {
			o.busy, r.busy = append(o.busy, r), true
		}
	}
	note(r)
	for _, next := range r.behind {
		note(next)
	}
}

// quiet reports whether nothing is to be expected of a route more than of others.
func (r *route) quiet() bool { return r.held.Load() == 0 && time.Since(r.found) >= recently }

// open reports whether a route may be read.
func (r *route) open() bool {
	return !r.sick && !r.breaker.rests() && (r.full.IsZero() || time.Since(r.full) >= fullWait)
}

// next returns at most n routes that may be read, each time beginning behind the last one.
func (o *routeScheduler) next(n int) (routes []*route) {
	for range o.all {
		if len(routes) == n {
			break
		}
		o.turn++
		if r := o.all[o.turn%len(o.all)]; r.open() {
			routes = append(routes, r)
		}
	}
	return routes
}

// open are the routes that may be read, each time beginning with another one.
func (o *routeScheduler) open() []*route {
	o.turn++
	return o.next(len(o.all))
}

// asked are the routes that are asked for more: all of a few. Of many, those that
// are busy, which lately tells, or else some in turns; what the others have is found
// by a read, which is cheaper.
func (o *routeScheduler) asked() (routes []*route, lately bool) {
	o.busy = slices.DeleteFunc(o.busy, func(r *route) bool {
		r.busy = !r.quiet()
		return !r.busy
	})
	if len(o.all) <= few {
		return o.open(), false
	}
	for i := range o.busy {
		if r := o.busy[(i+o.turn)%len(o.busy)]; r.open() {
			routes = append(routes, r)
		}
	}
	if len(routes) == 0 {
		return o.next(few), false
	}
	o.turn++
	return routes, true
}

// others are some of the routes that are not asked, where there are such.
func (o *routeScheduler) others(n int) []*route {
	if len(o.all) <= few {
		return nil
	}
	return o.next(n)
}

// working are the ids of the stages of which something is held.
func (o *routeScheduler) working() (ids []string) {
	for _, r := range o.busy {
		if r.held.Load() > 0 {
			ids = append(ids, r.stage.ID)
		}
	}
	return ids
}

// dear is how many entries are held of routes that have no stock.
func (o *routeScheduler) dear() (n int) {
	for _, r := range o.busy {
		if r.ahead.Load() == 0 {
			n += int(r.held.Load())
		}
	}
	return n
}
