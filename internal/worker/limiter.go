package worker

import (
	"context"
	"math"
	"sync/atomic"
)

// A limiter bounds the slots in which a function runs at once, over all sessions of a worker. A call
// needs a permit. The fetcher takes it with the entry, so that an entry whose function has no permit
// left stays in its queue. The nil limiter has no bound.
type limiter struct {
	limit atomic.Int64 // 0: none
	used  atomic.Int64 // permits; above limit after the limit was lowered
}

// begin takes a permit, if there is one.
func (l *limiter) begin() bool {
	if l == nil {
		return true
	}
	for {
		used := l.used.Load()
		if limit := l.limit.Load(); limit > 0 && used >= limit {
			return false
		}
		if l.used.CompareAndSwap(used, used+1) {
			return true
		}
	}
}

// force takes a permit, above the limit if need be.
func (l *limiter) force() {
	if l != nil {
		l.used.Add(1)
	}
}

// end gives a permit back.
func (l *limiter) end() {
	if l != nil {
		l.used.Add(-1)
	}
}

// free returns the number of permits that are left.
func (l *limiter) free() int {
	if !l.limited() {
		return math.MaxInt
	}
	return int(max(0, l.limit.Load()-l.used.Load()))
}

func (l *limiter) limited() bool { return l != nil && l.limit.Load() > 0 }

// admit takes a permit for a call of a route, unless the job brought one. It reports whether the
// call may begin; endCall follows then.
func (s *slot) admit(r *route) bool {
	if s.permit != nil && s.permit == r.limiter {
		s.permit = nil
		return true
	}
	return r.limiter.begin()
}

// endPermit gives back the permit of a job that has run no call.
func (s *slot) endPermit(ctx context.Context) {
	if s.permit != nil {
		s.endCall(ctx, s.permit)
		s.permit = nil
	}
}

// endCall gives back the permit of a call, and wakes the fetchers that wait for one.
func (s *session) endCall(ctx context.Context, l *limiter) {
	l.end()
	if l.limited() {
		s.worker.wakeLeftOut(ctx)
	}
}

// wakeLeftOut ends the blocked reads that leave out a route because its function had no permit.
func (w *Worker) wakeLeftOut(ctx context.Context) {
	for _, s := range w.partitions.sessions() {
		if s.leavesOut.Swap(false) {
			s.wake(ctx, "")
		}
	}
}

// readable returns the routes of a blocked read. It first records that routes may be left out, so
// that a permit that comes back meanwhile ends the read.
func (f *fetcher) readable() []*route {
	f.leavesOut.Store(true)
	routes := f.allPollable()
	for _, r := range f.all {
		if r.limiter.free() == 0 {
			return routes
		}
	}
	f.leavesOut.Store(false)
	return routes
}

// sharesOfLimited returns a share for each function with a limit, and the routes of other functions.
func sharesOfLimited(routes []*route) (others []*route, shares []share) {
	for _, r := range routes {
		if !r.limiter.limited() {
			others = append(others, r)
			continue
		}
		at := 0
		for at < len(shares) && shares[at].limiter != r.limiter {
			at++
		}
		if at == len(shares) {
			shares = append(shares, share{limiter: r.limiter})
		}
		shares[at].routes = append(shares[at].routes, r)
	}
	return others, shares
}

// available returns the number of entries that may be taken from a share now. Earlier shares may
// have used slots.
func (f *fetcher) available(s share) int {
	if s.limiter == nil {
		return s.budget
	}
	return min(s.limiter.free(), f.concurrency()-f.expensive(), f.worker.partitions.free())
}
