package worker

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
	"github.com/dqbridge/dqbridge/internal/runner"
)

// A route is a stage that this worker can run.
type route struct {
	stage    broker.Stage
	function *runner.Function // nil for a copy
	breaker  *breaker         // of the function; nil for a copy
	limiter  *limiter         // of the function; nil for a copy
	// standing is live, paused, replaced, forgotten or over. A slot reads it after each item, so it is beside
	// fields that do not change, and not beside jobs, which changes with each entry.
	standing atomic.Int32
	broker.Route
	maxStock atomic.Int64 // bound of ahead for each slot
	bounded  atomic.Bool  // the user has bounded the in-queue or an out-queue
	maxItems atomic.Int64 // items of a batch, so that its results become few parts in a bounded out-queue; 0: any number

	jobs         atomic.Int64          // in slots or waiting for one; with userBounded, until they are committed
	ahead        atomic.Int64          // batches that may wait for the slots
	backlog      atomic.Bool           // the last request returned as many entries as it asked for
	failing      atomic.Int64          // completions that are repeated, since Redis refused them
	gone         atomic.Bool           // the in-queue was deleted during the work
	fused        atomic.Pointer[route] // stage that takes the results of this one directly; nil: they go into the queue
	continuation atomic.Pointer[route] // reader of the last out-queue, with which a slot goes on; nil: it does not
	goneOn       atomic.Int64          // entries with which slots went on since the last look at the bounds
	blocked      atomic.Bool           // for continuation: a queue is full, or the next entry is beyond the window

	successTold time.Time // last hint of a success to another worker; guarded by the token of committing

	mu      sync.Mutex
	spent   time.Duration // on the recent items
	items   int
	growth  growth     // of the items
	outlier bool       // the last batch was much more expensive than those before
	calls   *costModel // in place of spent and items, if the function takes batches; nil: no call so far
	meter   meter
	// fullSince is since when the time of a full out-queue is not counted; zero: none is full.
	fullSince time.Time

	// Only the fetcher uses these:
	// revision of the record of the stage, as a ready queue named it last; "": none has.
	revision string
	revised  bool      // the stage, or one behind it, may have changed since then
	next     []string  // ids of the stages that read its out-queues, when the route was made
	text     string    // of the record of the stage, as it was read last; it may differ from stage in the pause
	full     time.Time // when an out-queue was found full; zero: it has room
	active   time.Time // when it had work, or was likely to have some soon
	busy     bool      // the scheduler has it in its own list busy
	listed   bool      // the scheduler has to find its place in the order
	// readers are the routes that read its out-queues.
	readers []*route
	// collected has the entries that were taken and have no slot yet.
	collected collection
	lacksRoom bool // at the last request, an out-queue was full and entries waited
	metered   bool // the reporter knows the route
	sick      bool // a queue of it is gone, or its key has another type
	beyond    bool // the next entry is beyond the window of its source
	lacking   bool // the worker no longer has the function
	held      heldRoute
}

// The standings of a route. Only the fetcher changes them.
const (
	live      = iota
	paused    // by an operator, or without its function: calls go on to the end of their item, and none begins
	replaced  // by a route with another definition of its function: likewise, and the route gets no entry
	forgotten // without work for long: likewise, until the next entry makes a new route
	over      // the stage was removed or replaced: calls are canceled
)

// stopped reports whether no call begins on the route.
func (r *route) stopped() bool { return r.standing.Load() != live }

// ended reports whether the stage was removed or replaced, or the route was, or was forgotten.
func (r *route) ended() bool { return r.standing.Load() >= replaced }

// window is the work that the average cost of an item covers.
const window = 200 * time.Millisecond

// learn records the cost of a batch. The average is over items and not over batches, so that a
// short batch counts for little. It leaves out a batch that is much more expensive than those
// before: it may have waited for a CPU, and would make batches small just while the machine is
// busy. If the next batch is as expensive, the items have changed. If they are real work, the
// average begins anew.
func (r *route) learn(spent time.Duration, items int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.learnCost(spent, items)
}

// learnCost is learn for a caller that holds the mutex of the route.
func (r *route) learnCost(spent time.Duration, items int) {
	if r.runsBatches() {
		r.callCosts().learn(spent, items)
		return
	}
	dear := r.items > 0 && spent/time.Duration(items) > 8*(r.spent/time.Duration(r.items))
	chance := dear && !r.outlier
	r.outlier = dear
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

// callCosts returns the cost model of the calls. The caller holds the mutex of the route.
func (r *route) callCosts() *costModel {
	if r.calls == nil {
		r.calls = &costModel{}
	}
	return r.calls
}

// Bounds of the batches of one route that wait for a slot, so that a slot has work during the next
// fetch. Together they are little work and little memory, and a route with expensive items has
// none: another worker may have a free slot. With a backlog no slot is free for long, and they may
// be more work. If the user has bounded the results, one may wait, since results are never refused
// and exceed the bound.
const (
	maxAhead    = 15
	stockTime   = 2 * time.Millisecond
	backlogTime = 50 * time.Millisecond
	stockBytes  = 1 << 20
)

// stock sets the number of batches that may wait, assuming that they are like the last one.
func (r *route) stock(spent time.Duration, items, size, slots int) {
	if r.limiter.limited() { // an entry that waits for a slot would keep a permit
		r.ahead.Store(0)
		return
	}
	if !r.runsBatches() {
		spent = max(spent, r.cost()*time.Duration(items))
	}
	all, most := time.Duration(slots), stockTime
	if r.backlog.Load() && !r.runsBatches() {
		most = backlogTime
	}
	r.ahead.Store(min(int64(all*most/max(spent, 1)), int64(all)*min(r.maxStock.Load(), int64(stockBytes/max(size, 1)))))
}

// mayBeFull reports whether the next results may have no room, or another process waits for room. A
// bound of the user is checked before each item, other bounds now and then.
func (r *route) mayBeFull() bool { return r.userBounded() || !r.full.IsZero() }

// userBounded reports whether the user has set a bound.
func (r *route) userBounded() bool { return r.bounded.Load() || r.maxStock.Load() <= 1 }

// cost returns the cost of an item, 0 if it is unknown.
func (r *route) cost() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runsBatches() {
		_, most, _ := r.batchSize()
		return costOf(min(r.callCosts().settled(), most))
	}
	if r.items == 0 {
		return 0
	}
	return max(1, r.spent/time.Duration(r.items))
}

// entriesOfCall is about the number of entries of a call, if producers know its size: few, since
// each is replaced by itself, and enough to divide a backlog evenly.
const entriesOfCall = 8

// aim is the work that producers cut a batch to.
const aim = 8 * time.Millisecond

// costOf returns the cost of an item with which producers cut entries for calls of so many items, 0
// if the number is unknown.
func costOf(items int) time.Duration {
	if items == 0 {
		return 0
	}
	return max(1, aim*entriesOfCall/time.Duration(items))
}

// runsBatches reports whether this stage or a fused one takes whole batches.
func (r *route) runsBatches() bool {
	for i, at := 0, r; at != nil && i < maxFused; i, at = i+1, at.fused.Load() {
		if at.function != nil && at.function.Whole {
			return true
		}
	}
	return false
}

// routes returns the routes of the stages that this worker can run: with ids, it reads these stages
// only and keeps all other routes. Routes of unchanged stages stay the same. Later stages of a flow
// come first. A stage that is not the consumer of its in-queue gets no route, since it could not
// complete its entries. fresh has the new routes. A route that is left out has ended.
func (f *fetcher) routes(ctx context.Context, old []*route, ids []string) (routes, fresh []*route, err error) {
	var stages []broker.Stage
	if ids == nil {
		stages, err = f.client.Stages(ctx)
	} else {
		stages, err = f.client.StagesOf(ctx, ids)
	}
	if err != nil {
		return nil, nil, err
	}
	f.forgetForeign(ids, stages)
	known := make(map[string]*route, len(stages))
	for _, r := range old {
		if ids == nil || slices.Contains(ids, r.stage.ID) {
			known[r.stage.ID] = r
		} else {
			routes = append(routes, r)
		}
	}
	var asked []*route
	for _, stage := range stages {
		r := known[stage.ID]
		if r != nil && !r.follow(stage) {
			r = nil
		}
		if next := f.successor(ctx, r, stage); next != nil {
			delete(known, stage.ID)
			asked = append(asked, next)
			continue
		}
		switch {
		case r == nil:
			if r = f.route(ctx, stage); r != nil {
				asked = append(asked, r)
			}
		case r.sick || r.gone.Load() || r.revised:
			asked = append(asked, r)
		default:
			routes = append(routes, r)
		}
	}
	if fresh, err = f.consuming(ctx, asked); err != nil {
		return nil, nil, err
	}
	f.reporter.add(fresh)
	routes = append(routes, fresh...)
	for _, r := range routes {
		if known[r.stage.ID] == r {
			delete(known, r.stage.ID)
		}
	}
	for _, r := range known {
		f.endStage(r)
	}
	slices.SortFunc(routes, func(a, b *route) int { return cmp.Compare(b.stage.Seq, a.stage.Seq) })
	fuse(routes)
	return routes, fresh, nil
}

// successor returns the route that replaces one whose function has another definition now. It pauses
// a route whose function the worker no longer has: it may hold entries of the queue. r may be nil.
func (f *fetcher) successor(ctx context.Context, r *route, stage broker.Stage) *route {
	if r == nil || r.function == nil {
		return nil
	}
	own, _, _ := f.worker.function(r.function.Name)
	if own == r.function && !r.lacking {
		return nil
	}
	next := r
	if own != r.function {
		next = nil
		if own != nil {
			next = f.route(ctx, r.stage) // the record without a pause
		}
	}
	if next == nil {
		r.lacking = true
		r.standing.Store(paused)
		return nil
	}
	next.text, next.lacking = stage.Record, false
	if stage.Pause == nil {
		next.standing.Store(live)
	} else {
		next.standing.Store(paused)
	}
	if next == r {
		return nil
	}
	r.standing.Store(replaced)
	return next
}

// follow adopts a newer record of the stage that differs at most in the pause of an operator. It returns
// false for another record.
func (r *route) follow(stage broker.Stage) bool {
	if r.text == stage.Record {
		return true
	}
	if !r.stage.EqualButPause(stage) {
		return false
	}
	r.text, r.active = stage.Record, time.Now()
	if stage.Pause != nil {
		r.standing.Store(paused)
	} else {
		r.standing.Store(live)
	}
	return true
}

// forgetForeign drops the logged stages that are gone: among those with some ids, or among all if
// ids is nil.
func (f *fetcher) forgetForeign(ids []string, stages []broker.Stage) {
	if len(f.foreign) == 0 {
		return
	}
	there := make(map[string]bool, len(stages))
	for _, stage := range stages {
		there[stage.ID] = true
	}
	maps.DeleteFunc(f.foreign, func(id string, _ bool) bool { return !there[id] && (ids == nil || slices.Contains(ids, id)) })
}

// consuming returns the routes whose stages are the consumers of their queues.
func (f *fetcher) consuming(ctx context.Context, asked []*route) (standing []*route, err error) {
	stands, err := f.client.StageStatuses(ctx, stagesOf(asked))
	if err != nil {
		return nil, err
	}
	for i, r := range asked {
		if stands[i].Consumer {
			r.bounded.Store(stands[i].Bounded)
			r.sick, r.revised = false, false
			r.next = stands[i].Readers
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

func (f *fetcher) route(ctx context.Context, stage broker.Stage) *route {
	if len(stage.Ins) != 1 || stage.Paused || !stage.Admits(f.worker.Tags) {
		return nil
	}
	r := &route{stage: stage, text: stage.Record, Route: broker.Route{In: stage.Ins[0].Name}}
	switch stage.Kind {
	case broker.KindCopy:
		return r
	case broker.KindMap, broker.KindFilter, broker.KindFlatMap, broker.KindFuture:
		r.function, r.breaker, r.limiter = f.worker.function(stage.Function)
	}
	if r.function == nil {
		return nil
	}
	in, out := codec.Info{Codec: stage.InCodec, Type: stage.InType}, codec.Info{Codec: stage.OutCodec, Type: stage.OutType}
	if r.batched() && !r.function.Whole {
		if !f.foreign[stage.ID] {
			f.foreign[stage.ID] = true
			f.log.WarnContext(ctx, "a stage is left to others: it has batches, and this worker calls its function for each item",
				"stage", stage.ID, "function", stage.Function)
		}
		return nil
	}
	if !fits(in, r.function.In) || !fits(out, r.function.Out) || kindOf(stage.Kind) != kindOfFunction(r.function) {
		if f.foreign[stage.ID] {
			return nil
		}
		f.foreign[stage.ID] = true
		f.log.WarnContext(ctx, "a stage is left to others: this worker has its function with other types",
			"stage", stage.ID, "function", stage.Function, "wants", typesOf(in, out, kindOf(stage.Kind)),
			"has", typesOf(r.function.In, r.function.Out, kindOfFunction(r.function)))
		return nil
	}
	return r
}

func fits(a, b codec.Info) bool { return a == b || a.Wildcard() || b.Wildcard() }
