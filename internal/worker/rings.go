package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	ringPause  = 100 * time.Millisecond // until a ready queue that could not be read is asked for again
	knownLook  = time.Minute            // between two looks at all stages that a worker knows
	knownSpare = 64                     // stages more than twice those of the last look, after which the next one is due
	restLooks  = 50                     // at the ready queues in each readWait, of a fleet at rest
	maxRest    = 10 * time.Second       // between two looks of a worker at rest
)

// A ringMode is the way in which a fetcher waits in a wide partition: for the hint HintReady in its mailbox
// alone. So the cost of a worker without work does not depend on the number of stages. It learns of a
// stage when a hint names its queue.
//
//	state       event                                        next
//	at queues   the partition is wide                        at rings
//	at queues   a MailboxReader has the hints of all         at rings, for good
//	at queues   the Redis user lacks the rights              at queues, for good
//	at rings    the partition is narrow                      at queues
type ringMode struct {
	on      bool
	chosen  bool                 // there was a first choice
	denied  bool                 // the Redis user lacks the rights for rings
	idle    bool                 // the worker may be among those that are rung
	class   broker.Class         // that it has joined
	told    []broker.ReadyQueue  // by hints
	duty    []string             // queues that this worker was told of, until it has read them or passed the ring on
	left    bool                 // the last ready queues have some that could not be read
	skipped map[string]time.Time // ready queues that could not be read, and until when
	known   map[string]*route    // routes by their in-queue
	looked  time.Time            // last look at all known stages
	size    int                  // their number then
	passing atomic.Bool
	passes  sync.WaitGroup
}

// wide reports whether a partition has so many stages or workers that its workers wait for rings.
func wide(stages, workers int) bool { return stages > ringStages || workers > ringWorkers }

// narrow reports whether they wait at queues again. Between the limits nothing changes.
func narrow(stages, workers int) bool {
	return stages <= ringStages*3/4 && workers <= ringWorkers*3/4
}

// chooseMode begins to wait for rings if the partition is wide.
func (f *fetcher) chooseMode(ctx context.Context) error {
	m := &f.rings
	if m.on || m.denied {
		return nil
	}
	stages, workers := len(f.all), int(f.reporter.fleet.Load())
	if !m.chosen {
		var err error
		stages, workers, err = f.client.Width(ctx)
		if err != nil && !errors.Is(err, broker.ErrDenied) { // a denial shows again when the partition is wide
			return err
		}
		m.chosen = true
	}
	if !wide(stages, workers) && !f.reader.Shared() {
		return nil
	}
	return f.joinClass(ctx)
}

// joinClass begins to wait for rings, or joins the class of the present functions.
func (f *fetcher) joinClass(ctx context.Context) error {
	m, class := &f.rings, broker.NewClass(f.worker.functionCards(), f.worker.Tags)
	fresh, err := f.client.JoinClass(ctx, f.id, class)
	if errors.Is(err, broker.ErrDenied) {
		f.denyRings(ctx, err)
		return nil
	}
	if err != nil {
		return err
	}
	entered := !m.on
	m.on, m.class, m.idle = true, class, false
	f.atRings.Store(true)
	if entered {
		m.skipped, m.looked, m.size = map[string]time.Time{}, time.Now(), len(f.all)
		f.index()
		for _, r := range f.all {
			r.revision = ""
		}
		if err := f.markUnread(ctx, f.all); err != nil {
			m.on = false
			f.atRings.Store(false)
			return err
		}
	}
	if fresh {
		f.pass(ctx)
	}
	return nil
}

// denyRings waits at queues for good.
func (f *fetcher) denyRings(ctx context.Context, err error) {
	f.rings.denied, f.rings.on, f.stages.all = true, false, true
	f.atRings.Store(false)
	f.log.WarnContext(ctx, "this worker reads all its queues all the time, which costs Redis more in a wide partition: "+
		"its Redis user lacks the rights of docs/security.md for ready queues", "worker", f.id, "err", err)
	if err := f.client.LeaveClass(ctx, f.id); err != nil { // it has none if the first script was refused
		f.log.DebugContext(ctx, "leave the class", "err", err)
	}
}

// leaveClass waits at the queues of all stages again.
func (f *fetcher) leaveClass(ctx context.Context) error {
	if err := f.client.LeaveClass(ctx, f.id); err != nil {
		return err
	}
	f.rings.on, f.rings.idle, f.stages.all = false, false, true
	f.atRings.Store(false)
	return nil
}

// index records the routes by their queues.
func (f *fetcher) index() {
	f.rings.known = make(map[string]*route, len(f.all))
	for _, r := range f.all {
		f.rings.known[r.In] = r
	}
}

// markUnread makes those in-queues of routes ready that have unread entries.
func (f *fetcher) markUnread(ctx context.Context, routes []*route) error {
	queues := make([]broker.StageQueue, len(routes))
	for i, r := range routes {
		queues[i] = broker.StageQueue{Queue: r.In, Stage: r.stage.ID}
	}
	_, err := f.client.MarkUnread(ctx, queues)
	return err
}

// pass looks for unread entries in the queues of all stages, in the background.
func (f *fetcher) pass(ctx context.Context) {
	if f.rings.passing.Swap(true) {
		return
	}
	f.rings.passes.Go(func() {
		defer f.rings.passing.Store(false)
		if err := f.client.MarkAll(ctx); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "the look at all queues for unread entries failed; it is repeated", "err", err)
		}
	})
}

// refreshKnown reads the known stages that may have changed, and not all stages. It joins the class of the
// present functions if all may have changed.
func (f *fetcher) refreshKnown(ctx context.Context) error {
	ids := f.stages.ids()
	if f.stages.all {
		if err := f.joinClass(ctx); err != nil {
			return err
		}
		if !f.rings.on {
			return nil
		}
		ids = f.knownStages()
	}
	f.stages = stageView{}
	for asked := map[string]bool{}; len(ids) > 0; { // the stages behind new ones may be fused with these
		all, fresh, err := f.routes(ctx, f.all, ids)
		if err != nil {
			f.stages.changed = append(f.stages.changed, ids...)
			return err
		}
		f.replace(all, fresh)
		f.index()
		for _, id := range ids {
			asked[id] = true
		}
		ids = slices.DeleteFunc(f.behind(fresh), func(id string) bool { return asked[id] })
	}
	return nil
}

// behind returns the stages that read the out-queues of routes and have no route.
func (f *fetcher) behind(routes []*route) (ids []string) {
	known := make(map[string]bool, len(f.all))
	for _, r := range f.all {
		known[r.stage.ID] = true
	}
	for _, r := range routes {
		for _, id := range r.next {
			if !known[id] && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func (f *fetcher) knownStages() []string {
	ids := make([]string, len(f.all))
	for i, r := range f.all {
		ids[i] = r.stage.ID
	}
	return ids
}

// awaitRing takes entries of ready queues. Without any, it waits for a ring.
func (f *fetcher) awaitRing(ctx context.Context) error {
	m := &f.rings
	f.prune()
	if time.Since(f.heard) >= sweep {
		if found, err := f.readBlocking(ctx, nil, 0); found || err != nil {
			return err
		}
	}
	if f.slotsFull() {
		return f.awaitSlotForRings(ctx)
	}
	routes, err := f.readyRoutes(ctx)
	if err != nil || f.stages.outdated() || !m.on {
		return err
	}
	due := f.dueRoutes()
	for _, r := range due {
		if r.takable() && !slices.Contains(routes, r) {
			routes = append(routes, r)
		}
	}
	if err := f.yieldDue(ctx, slices.DeleteFunc(due, (*route).takable)); err != nil {
		return err
	}
	for _, r := range f.collecting { // a call waits until no more entries follow
		if r.takable() && !slices.Contains(routes, r) {
			routes = append(routes, r)
		}
	}
	switch {
	case len(routes) > 0:
	case m.left: // it asks for other ready queues
		return nil
	default:
		return f.awaitHint(ctx)
	}
	shares := f.shares(f.lastStagesFirst(routes))
	if slices.ContainsFunc(shares, func(s share) bool { return s.limiter == nil && s.budget <= 0 }) {
		if err := errors.Join(f.passOn(ctx, m.duty), f.yieldDue(ctx, f.dueRoutes())); err != nil {
			return err
		}
		return f.awaitSlot(ctx)
	}
	m.duty = nil
	for _, s := range shares {
		if _, err := f.take(ctx, s.routes, f.available(s)); err != nil {
			return err
		}
	}
	f.linger(ctx)
	return nil
}

// slotsFull reports whether no slot is free for an entry of unknown cost.
func (f *fetcher) slotsFull() bool {
	return min(f.concurrency()-f.expensive(), f.worker.partitions.free()) <= 0
}

// awaitSlotForRings waits until a slot may be free. Other workers get the rings of this one.
func (f *fetcher) awaitSlotForRings(ctx context.Context) error {
	if err := errors.Join(f.giveUpRings(ctx), f.yieldDue(ctx, f.dueRoutes())); err != nil {
		return err
	}
	return f.awaitSlot(ctx)
}

// giveUpRings passes rings on, and lets no further one come.
func (f *fetcher) giveUpRings(ctx context.Context) error {
	m := &f.rings
	var told []string
	if m.idle {
		reply, err := f.client.Ready(ctx, broker.ReadyQuery{Worker: f.id, Class: m.class, Count: 1, Pace: f.client.Patience(readWait)})
		if err != nil {
			return err
		}
		told = queuesOf(reply.Queues)
		if !reply.Waited { // a ring is on its way
			hints, err := f.reader.Rest(ctx)
			if err := errors.Join(err, f.handleHints(ctx, hints)); err != nil {
				return err
			}
		}
		m.idle = false
	}
	told, m.told = append(told, queuesOf(m.told)...), nil
	if len(told) == 0 {
		return nil
	}
	return f.client.Ring(ctx, told)
}

func queuesOf(ready []broker.ReadyQueue) (queues []string) {
	for _, q := range ready {
		queues = append(queues, q.Queue)
	}
	return queues
}

// passOn wakes another worker for those of some queues that this one was told of.
func (f *fetcher) passOn(ctx context.Context, queues []string) error {
	var mine, rest []string
	for _, queue := range f.rings.duty {
		if slices.Contains(queues, queue) {
			mine = append(mine, queue)
		} else {
			rest = append(rest, queue)
		}
	}
	if f.rings.duty = rest; len(mine) == 0 {
		return nil
	}
	return f.client.Ring(ctx, mine)
}

// rest returns how long a worker of a fleet waits for a ring before it looks at the ready queues. A look finds
// what a lost ring has left behind, and each worker of the class finds it: so those of a large fleet look less
// often, and a fleet at rest costs Redis little more than its heartbeats.
func rest(fleet int) time.Duration {
	return min(max(readWait, readWait*time.Duration(fleet)/restLooks), maxRest)
}

// awaitHint waits for a hint: as long as a worker rests if it is rung for each ready queue, otherwise until it
// asks for skipped queues again.
func (f *fetcher) awaitHint(ctx context.Context) error {
	if f.linger(ctx) {
		return nil
	}
	wait := f.client.Patience(rest(int(f.reporter.fleet.Load())))
	if !f.rings.idle {
		wait = ringPause
		for _, until := range f.rings.skipped {
			wait = min(wait, max(time.Until(until), time.Millisecond))
		}
	}
	_, err := f.readUntilDue(ctx, nil, wait)
	return err
}

// leaveRings ends the wait for rings when the worker stops. Other workers get its rings.
func (f *fetcher) leaveRings(ctx context.Context) {
	why := context.Cause(ctx)
	f.rings.passes.Wait()
	if !f.rings.on || errors.Is(why, broker.ErrFenced) || errors.Is(why, errKilled) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing/4)
	defer cancel()
	err := f.client.LeaveClass(ctx, f.id)
	if err == nil {
		hints, read := f.reader.Rest(ctx)
		for _, h := range hints {
			f.hearReady(h)
		}
		f.rings.idle = false
		err = errors.Join(read, f.giveUpRings(ctx))
	}
	if err != nil {
		f.log.DebugContext(ctx, "the rings of this worker may be lost", "err", err)
	}
}

// hearReady records a ready queue.
func (f *fetcher) hearReady(h broker.Hint) {
	f.rings.idle = false
	if q, ok := broker.ParseReady(h.What); ok && !slices.Contains(f.rings.told, q) {
		f.rings.told = append(f.rings.told, q)
	}
}
