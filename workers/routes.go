package workers

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// A route is a stage that this worker can run.
type route struct {
	stage    broker.Stage
	function *function // nil for a copy
	breaker  *breaker  // of the function; nil for a copy
	broker.Route
	most atomic.Int64 // bound of ahead, for each slot
	room atomic.Int64 // items of a batch whose results do not become too many parts in bounded out-queues; 0: any number

	held    atomic.Int64          // jobs of it that hands have or that wait for one
	ahead   atomic.Int64          // batches that may be in stock for the slots
	backlog atomic.Bool           // the last request brought all that it asked for
	ended   atomic.Bool           // the stage was removed or replaced: nothing is run for it any more
	gone    atomic.Bool           // its in-queue was deleted while it had work of it
	next    atomic.Pointer[route] // that runs what this one makes at once, nil where it goes into the queue
	after   atomic.Pointer[route] // that reads what comes out in the end, nil where its slot should not go on with that
	shut    atomic.Bool           // as after: the fetcher has found a queue of it full, or what is next beyond the window

	told time.Time // when another worker was told of a success; for whose turn it is to complete

	mu    sync.Mutex
	spent time.Duration // on items, in the recent past
	items int
	dear  bool      // the last batch was much dearer than those before
	calls costModel // in place of these, if a function is called for a batch

	// the fetcher only
	full  time.Time // since when an out-queue has no room; zero: it has
	found time.Time // when it had something, or was likely to have soon
	busy  bool      // it is among those of the scheduler
	// behind are those that read what it makes.
	behind []*route
	// bounded is whether the user has set a bound on the in-queue or an out-queue.
	bounded bool
	// collected is what was taken and has no slot yet.
	collected collection
	sick      bool // a queue of it is gone, or no queue
	beyond    bool // what is next is beyond the window of its source
}

// window is how much work the cost of an item is an average of.
const window = 200 * time.Millisecond

// learn takes note of what a batch cost. The average is one over items and not
// over batches, so that a short batch does not count for many. One that is much
// dearer than those before may have waited for a processor, which happens when
// all are busy, and would make batches small for long just then: it is left out.
// If the next one is as dear, the items have changed, and where that is real
// work, what was before is forgotten.
func (r *route) learn(spent time.Duration, items int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole() {
		r.calls.learn(spent, items)
		return
	}
	dear := r.items > 0 && spent/time.Duration(items) > 8*(r.spent/time.Duration(r.items))
	chance := dear && !r.dear
	r.dear = dear
	if chance {
		return
	}
	if dear && spent >= timeSlice {
		r.spent, r.items = 0, 0
	}
	r.spent, r.items = r.spent+spent, r.items+items
	for r.spent > window && r.items > 1 {
		r.spent, r.items = r.spent/2, r.items/2
	}
}

// What may wait for a slot: batches of one route, so that a slot has work while others are
// fetched. All of them together are little work and little memory, and a route with dear items
// has none as long as another worker may have a free slot. If there is a backlog, no slot is
// free for long: then they may be more work. If the user has bounded the results, one may
// wait: results are never refused, and go beyond the bound.
const (
	maxAhead    = 15
	stockTime   = 2 * time.Millisecond
	backlogTime = 50 * time.Millisecond
	stockBytes  = 1 << 20
)

// stock decides how many batches may wait, if they are like the last one: many slots
// are soon through with one that would be long for a single slot.
func (r *route) stock(spent time.Duration, items, size, slots int) {
	if !r.whole() {
		spent = max(spent, r.cost()*time.Duration(items))
	}
	all, most := time.Duration(slots), stockTime
	if r.backlog.Load() && !r.whole() {
		most = backlogTime
	}
	r.ahead.Store(min(int64(all*most/max(spent, 1)), int64(all)*min(r.most.Load(), int64(stockBytes/max(size, 1)))))
}

// narrow reports whether there may be no room for what comes next, or somebody who
// waits for room: a bound that the user has set is looked at before each item, others
// now and then.
func (r *route) narrow() bool { return r.limited() || !r.full.IsZero() }

// limited reports whether the user has set a bound.
func (r *route) limited() bool { return r.bounded || r.most.Load() <= 1 }

// cost is that of an item, 0 if it is not known.
func (r *route) cost() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.whole() {
		_, most, _ := r.batchSize()
		return costOf(min(r.calls.settled(), most))
	}
	if r.items == 0 {
		return 0
	}
	return max(1, r.spent/time.Duration(r.items))
}

// entriesOfCall is about how many entries a call takes, if producers know its size: few, as
// each is completed by itself, and enough to divide a backlog evenly.
const entriesOfCall = 8

// aim is how much work a batch is cut to where items enter.
const aim = 8 * time.Millisecond

// costOf is the cost of an item as it makes producers cut entries for calls of so many items, 0
// if these are not known.
func costOf(items int) time.Duration {
	if items == 0 {
		return 0
	}
	return max(1, aim*entriesOfCall/time.Duration(items))
}

// whole tells whether a function that runs for this route is called for whole
// batches.
func (r *route) whole() bool {
	for i, at := 0, r; at != nil && i < maxFused; i, at = i+1, at.next.Load() {
		if at.function != nil && at.function.whole {
			return true
		}
	}
	return false
}

// routes makes routes of the stages that this worker can run, those that were
// there stay the same; where ids are given, of the stages with these ids, and all other
// routes stay as they are. What comes later in a flow comes first. A stage that is
// not the consumer of its in-queue has none: what it took, it could not finish. fresh
// are those of the routes that were not there. A route that is left out has ended.
func (l *session) routes(ctx context.Context, old []*route, ids []string) (routes, fresh []*route, err error) {
	var stages []broker.Stage
	if ids == nil {
		stages, err = l.client.Stages(ctx)
	} else {
		stages, err = l.client.StagesOf(ctx, ids)
	}
	if err != nil {
		return nil, nil, err
	}
	l.forgetForeign(ids, stages)
	known := make(map[string]*route, len(stages))
	for _, r := range old {
		if ids == nil || slices.Contains(ids, r.stage.ID) {
			known[r.stage.ID] = r
		} else {
			routes = append(routes, r)
		}
	}
	var asked []*route
	for _, s := range stages {
		r := known[s.ID]
		if r != nil && r.stage.Record != s.Record {
			r = nil
		}
		switch {
		case r == nil:
			if r = l.route(ctx, s); r != nil {
				asked = append(asked, r)
			}
		case r.sick || r.gone.Load():
			asked = append(asked, r)
		default:
			routes = append(routes, r)
		}
	}
	if fresh, err = l.standing(ctx, asked); err != nil {
		return nil, nil, err
	}
	routes = append(routes, fresh...)
	for _, r := range routes {
		if known[r.stage.ID] == r {
			delete(known, r.stage.ID)
		}
	}
	for _, r := range known {
		l.endStage(r)
	}
	slices.SortFunc(routes, func(a, b *route) int { return cmp.Compare(b.stage.Seq, a.stage.Seq) })
	fuse(routes)
	return routes, fresh, nil
}

// forgetForeign forgets stages that were logged and are gone: of those with some ids, of all if ids is nil.
func (l *session) forgetForeign(ids []string, stages []broker.Stage) {
	if len(l.foreign) == 0 {
		return
	}
	there := make(map[string]bool, len(stages))
	for _, s := range stages {
		there[s.ID] = true
	}
	maps.DeleteFunc(l.foreign, func(id string, _ bool) bool { return !there[id] && (ids == nil || slices.Contains(ids, id)) })
}

// standing are those of the routes whose stages are the consumers of their queues.
func (l *session) standing(ctx context.Context, asked []*route) (standing []*route, err error) {
	stands, err := l.client.StageStatuses(ctx, stagesOf(asked))
	if err != nil {
		return nil, err
	}
	for i, r := range asked {
		if stands[i].Consumer {
			r.bounded = stands[i].Bounded
			r.sick = false
			r.gone.Store(false)
			standing = append(standing, r)
		}
	}
	return standing, nil
}

func stagesOf(routes []*route) []broker.Stage {
	stages := make([]broker.Stage, len(routes))
	for i, r := range routes {
		stages[i] = r.stage
	}
	return stages
}

func (l *session) route(ctx context.Context, s broker.Stage) *route {
	if len(s.Ins) != 1 || s.Paused {
		return nil
	}
	r := &route{stage: s, Route: broker.Route{In: s.Ins[0].Name}}
	switch s.Kind {
	case broker.KindCopy:
		return r
	case broker.KindMap, broker.KindFuture:
		r.function, r.breaker = l.function(s.Function)
	}
	if r.function == nil {
		return nil
	}
	in, out := codec.Info{Codec: s.InCodec, Type: s.InType}, codec.Info{Codec: s.OutCodec, Type: s.OutType}
	if !fits(in, r.function.in) || !fits(out, r.function.out) {
		if l.foreign[s.ID] {
			return nil
		}
		l.foreign[s.ID] = true
		l.log.WarnContext(ctx, "a stage is left to others: this worker has its function with other types",
			"stage", s.ID, "function", s.Function, "wants", in.String()+" to "+out.String(),
			"has", r.function.in.String()+" to "+r.function.out.String())
		return nil
	}
	return r
}

func fits(a, b codec.Info) bool { return a == b || a.Wildcard() || b.Wildcard() }
