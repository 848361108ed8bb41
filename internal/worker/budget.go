package worker

import (
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A share is a set of routes and the number of entries that may be taken from them.
type share struct {
	routes  []*route
	budget  int
	limiter *limiter // of the function, if it has a limit, which then is the budget; nil otherwise
}

// shares divides routes into those with cheap batches, of which some may be in stock, and all
// others, of which each free slot takes one. An expensive entry may wait behind a stock, which is
// short work.
func (f *fetcher) shares(routes []*route) (shares []share) {
	routes, shares = f.sharesOfCalls(routes)
	routes, limited := sharesOfLimited(routes)
	defer func() { shares = append(shares, limited...) }()
	if f.jobs.Load() == 0 {
		return append(shares, share{routes: routes, budget: min(f.concurrency(), f.worker.partitions.free())})
	}
	cheap := share{budget: maxAhead * f.concurrency()}
	dear := share{budget: min(f.concurrency()-f.expensive(), f.worker.partitions.free())}
	for _, r := range routes {
		if ahead := int(r.ahead.Load()); ahead > 0 {
			cheap.routes, cheap.budget = append(cheap.routes, r), min(cheap.budget, ahead)
		} else {
			dear.routes = append(dear.routes, r)
		}
	}
	stock := cheap.budget
	cheap.budget += f.concurrency() - int(f.jobs.Load())
	if 0 < cheap.budget && cheap.budget < stock/2 && hasBacklog(cheap.routes) { // a later request takes them all
		cheap.budget = 0
	}
	if cheap.routes != nil {
		shares = append(shares, cheap)
	}
	if dear.routes != nil || dear.budget <= 0 { // all slots have long work
		shares = append(shares, dear)
	}
	return shares
}

// sharesOfCalls returns a share for each route whose entries share calls and has work. It returns
// the other routes too.
func (f *fetcher) sharesOfCalls(routes []*route) (others []*route, shares []share) {
	isMany := func(r *route) bool { return r.joins() && !r.idle() }
	if !slices.ContainsFunc(routes, isMany) {
		return routes, nil
	}
	for _, r := range routes {
		if isMany(r) {
			shares = append(shares, share{routes: []*route{r}, budget: r.collected.want(f.calls(r), r.target())})
		} else {
			others = append(others, r)
		}
	}
	return others, shares
}

// hasBacklog reports whether all of the routes have a backlog.
func hasBacklog(routes []*route) bool {
	return !slices.ContainsFunc(routes, func(r *route) bool { return !r.backlog.Load() })
}

// requeueStale requeues the jobs that have waited for a slot for longer than stale: their slots are
// stuck, and another worker may have a free one.
func (f *fetcher) requeueStale() {
	if len(f.work) == 0 || time.Since(f.counted) < stale/2 {
		return
	}
	f.counted = time.Now()
	for range len(f.work) {
		select {
		case j := <-f.work:
			if f.counted.Sub(j.since) < stale {
				f.work <- j // to the end, so that each job is looked at once
				continue
			}
			f.endJob(j.route)
			j.route.limiter.end()
			j.route.backlog.Store(false)
			j.route.ahead.Store(0)
			for _, e := range append([]broker.Entry{j.entry}, j.more...) {
				f.completions <- requeue(j.route, e, e.Batch)
			}
		default:
			return
		}
	}
}
