package worker

import (
	"context"
	"slices"
	"time"
)

// knownKept is the number of routes that a worker at rings keeps however long they have no work. A route
// takes about 2 kB, with what is known about it.
const knownKept = 512

// forgetIdle ends routes without work for a long time, beyond a number of the latest ones. Otherwise a
// worker would keep each stage that it has ever served, and read all of them again with each look. It learns
// of such a stage anew with the next ring for its queue.
func (f *fetcher) forgetIdle(ctx context.Context, now time.Time) error {
	if !f.holds.certain(f.client.Failures()) { // Redis is asked about the entries of all routes
		return nil
	}
	kept, idle := f.split(now, knownKept)
	if len(idle) == 0 {
		return nil
	}
	queues := make([]string, len(idle))
	for i, r := range idle {
		queues[i] = r.In
	}
	if err := f.client.GiveBack(ctx, f.id, queues...); err != nil { // else the name would stay there
		return err
	}
	for _, r := range idle {
		r.standing.Store(forgotten)
	}
	f.replace(kept, nil)
	f.order = nil
	f.index()
	return nil
}

// split divides the routes into those that are kept, in their order, and idle ones that are not. Of the idle
// ones, it keeps most at most, those with the latest work, and those that read the out-queues of kept routes,
// so that these go on together.
func (s *routeScheduler) split(now time.Time, most int) (kept, idle []*route) {
	if len(s.all) <= most {
		return s.all, nil
	}
	stays := make(map[*route]bool, len(s.all))
	latest := slices.SortedFunc(slices.Values(s.all), func(a, b *route) int { return b.active.Compare(a.active) })
	for i, r := range latest {
		if i < most || !r.forgettable(now) {
			stay(r, stays)
		}
	}
	for _, r := range s.all {
		if stays[r] {
			kept = append(kept, r)
		} else {
			idle = append(idle, r)
		}
	}
	return kept, idle
}

// stay adds a route, and those behind it, to the routes that stay.
func stay(r *route, stays map[*route]bool) {
	if stays[r] {
		return
	}
	stays[r] = true
	for _, reader := range r.readers {
		stay(reader, stays)
	}
}

// forgettable reports whether a route has no work, has had none for a long time, and waits for nothing but
// new entries.
func (r *route) forgettable(now time.Time) bool {
	resting := r.jobs.Load() == 0 && r.failing.Load() == 0 && len(r.collected.runs) == 0 && now.Sub(r.active) >= knownLook
	waits := !r.full.IsZero() || r.lacksRoom || r.beyond || r.held.due || r.isHeld()
	return resting && !waits && !r.stopped() && !r.sick && !r.revised && !r.gone.Load()
}
