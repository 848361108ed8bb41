package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	readWait  = 2 * time.Second        // of a blocked read, and the delay of a lost hint
	busyWait  = time.Second            // between two looks into the mailbox while no slot is free
	fullWait  = time.Second            // until a full queue is asked again without a hint
	sweep     = 20 * time.Millisecond  // between two looks into the mailbox while slots are busy
	maxHints  = 1000                   // bound of a mailbox
	fewHints  = 4                      // reads with hints, in the time sweep, that do not ask for further ones
	failPause = 100 * time.Millisecond // after a failed read
	endWait   = 500 * time.Millisecond // between the hint that ends a blocked read and the end of its connection
)

// A job is an entry for a slot, or several adjacent ones.
type job struct {
	route *route
	entry broker.Entry
	more  []broker.Entry // for the same call, behind entry
	leaf  int            // number of items of the parts to cut it into; 0: none
	items int            // of a call of a stage with batches, which takes as many of these entries; 0: another stage
	since time.Time      // when it was taken
}

// newJob returns a job for an entry that is held.
func (s *session) newJob(r *route, e broker.Entry) *job {
	s.jobs.Add(1)
	r.jobs.Add(1)
	return &job{route: r, entry: e, since: time.Now()}
}

// endJob ends the count of a job. With bounded queues that is when its completions are committed:
// otherwise a slow commit would let the worker take more than there is room for.
func (s *session) endJob(r *route) {
	s.jobs.Add(-1)
	r.jobs.Add(-1)
}

// A fetcher takes entries while slots are free. No other goroutine reads, except a slot that goes on
// with the entry behind its own work.
type fetcher struct {
	*session
	routeScheduler
	stages     stageView
	holds      heldCheck
	poll       pollPolicy
	rings      ringMode
	heard      time.Time       // last read of the mailbox
	hinted     time.Time       // read that brought hints, with which a count of such reads began
	hints      int             // number of these reads, in the time sweep
	looked     time.Time       // last look, without a hint, at the stages that have work
	counted    time.Time       // last look at the stock
	collecting []*route        // routes with collected entries
	foreign    map[string]bool // ids of stages of other types that were logged
}

// fetch takes entries until ctx ends. It returns broker.ErrDenied if the Redis user may not read.
func (s *session) fetch(ctx context.Context) error {
	f := &fetcher{
		session: s, stages: stageView{all: true}, foreign: map[string]bool{},
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		f.endRead(ctx, stop)
	}()
	defer func() {
		close(stop)
		<-ended
		f.leaveRings(ctx)
		f.giveBackAll(ctx)
		_ = f.reader.Close() //nolint:contextcheck // it takes none
		s.queues, s.unsure = f.mayHold()
	}()
	for ctx.Err() == nil {
		err := f.step(ctx)
		if err == nil {
			continue
		}
		f.holds.lost, f.stages.all = true, true
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, broker.ErrDenied) {
			return err
		}
		s.log.DebugContext(ctx, "fetch failed; it is repeated", "err", err)
		broker.Pause(ctx, failPause)
	}
	return nil
}

// endRead ends a blocked read when ctx ends, by a hint: closing the connection could lose a
// reply with entries. If the hint does not end the read within endWait, or this worker is
// fenced, endRead closes the connection.
func (f *fetcher) endRead(ctx context.Context, stop <-chan struct{}) {
	select {
	case <-stop:
		return
	case <-ctx.Done():
	}
	if !errors.Is(context.Cause(ctx), broker.ErrFenced) {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
		defer cancel()
		f.wake(limit, "")
		select {
		case <-stop:
			return
		case <-limit.Done():
		}
	}
	f.reader.Interrupt()
}

// mayHold returns the queues of the routes, and those of which this worker may hold entries that it
// does not know of: all of them if a reply was lost or a request may still arrive late.
func (f *fetcher) mayHold() (queues, unsure []string) {
	for _, r := range f.all {
		queues = append(queues, r.In)
	}
	if !f.holds.certain(f.client.Failures()) {
		unsure = queues
	}
	return queues, unsure
}

// step waits for a free slot or for entries, and dispatches entries to slots.
func (f *fetcher) step(ctx context.Context) (err error) {
	if f.recheck.Swap(false) {
		f.stages.all, f.holds.lost = true, true
	}
	if now := time.Now(); now.Sub(f.looked) >= f.lease { // a hint may be lost
		f.looked = now
		f.stages.changed = append(f.stages.changed, f.workingStages()...)
	}
	if err := f.chooseMode(ctx); err != nil {
		return err
	}
	if f.stages.outdated() {
		if err := f.refresh(ctx); err != nil {
			return err
		}
	}
	if f.holds.due(time.Now(), f.client.Failures()) {
		if err := f.recall(ctx); err != nil {
			return err
		}
	}
	if err := f.dispatchCalls(ctx); err != nil {
		return err
	}
	f.requeueStale()
	f.addSlots()
	if f.worker.draining.Load() || !f.rings.on {
		if err := f.giveUpRings(ctx); err != nil {
			return err
		}
	}
	if f.worker.draining.Load() {
		_, err = f.readBlocking(ctx, nil, f.client.Patience(readWait))
		return err
	}
	if f.rings.on {
		return f.awaitRing(ctx)
	}
	return f.readQueues(ctx)
}

// readQueues takes entries from the queues of all routes. Without any, it waits at the queues.
func (f *fetcher) readQueues(ctx context.Context) (err error) {
	asked, lately := f.toPoll()
	if slices.ContainsFunc(asked, (*route).limited) {
		f.poll.needed()
	}
	shares := f.shares(asked)
	if slices.ContainsFunc(shares, func(s share) bool { return s.limiter == nil && s.budget <= 0 }) {
		return f.awaitSlot(ctx)
	}
	if time.Since(f.heard) >= sweep {
		if found, err := f.readBlocking(ctx, f.sample(cap(f.work)-len(f.work)), 0); found || err != nil {
			return err
		}
	}
	if !f.poll.skip || len(f.collecting) > 0 {
		found := 0
		for _, s := range shares {
			n, err := f.take(ctx, s.routes, f.available(s))
			if found += n; err != nil {
				return err
			}
		}
		if found > 0 || f.linger(ctx) {
			return nil
		}
	}
	if lately { // a short read, so that the other routes get their turn
		_, err = f.readUntilDue(ctx, asked, sweep)
	} else {
		_, err = f.readUntilDue(ctx, f.readable(), f.untilFull(f.client.Patience(readWait)))
	}
	return err
}

// awaitSlot waits until a slot may be free.
func (f *fetcher) awaitSlot(ctx context.Context) (err error) {
	wait := busyWait
	if len(f.collecting) > 0 || len(f.work) > 0 {
		wait = stale / 2
	}
	if f.rings.on { // no other worker asks for a route whose call is due
		wait = f.untilHeld(wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.freed:
	case <-timer.C: // an idle connection may be closed, and other processes take it as the sign of life
		if time.Since(f.heard) < busyWait {
			break
		}
		f.stages.changed = append(f.stages.changed, f.busyStages()...) // a hint may be lost
		_, err = f.readBlocking(ctx, nil, 0)
	}
	return err
}

// refresh reads the stages that may have changed.
func (f *fetcher) refresh(ctx context.Context) error {
	if f.rings.on {
		return f.refreshKnown(ctx)
	}
	all, fresh, err := f.routes(ctx, f.all, f.stages.ids())
	if err != nil {
		return err
	}
	f.replace(all, fresh)
	f.stages = stageView{}
	if slices.ContainsFunc(fresh, (*route).needsPoll) {
		f.poll.needed()
	}
	return nil
}

// needsPoll reports whether a new route may have entries, or bounds, that a read which waits ignores: the
// route is bounded, or its stage is not new.
func (r *route) needsPoll() bool {
	return r.mayBeFull() || time.Since(time.Unix(0, r.stage.Seq)) > readWait
}

// take takes entries without waiting.
func (f *fetcher) take(ctx context.Context, routes []*route, budget int) (n int, err error) {
	if len(routes) == 0 || budget <= 0 {
		return 0, nil
	}
	ask := make([]broker.Route, len(routes))
	for i, r := range routes {
		ask[i] = r.request()
	}
	suspects := int(max(0, 1-f.entries.suspects.Load()))
	f.poll.at = time.Now()
	taken, err := f.client.Take(ctx, f.id, budget, suspects, ask)
	if err != nil {
		return 0, err
	}
	total := 0
	for _, t := range taken {
		total += len(t.Entries)
	}
	for i, t := range taken {
		r := routes[i]
		r.full, r.sick, r.beyond = time.Time{}, t.Sick, t.Beyond
		r.blocked.Store(t.Full || t.Beyond)
		r.goneOn.Store(0)
		f.noteHeld(r, t)
		if t.Full {
			r.full = time.Now()
		}
		if t.Full && t.Waits {
			r.beginFull()
		} else {
			r.endFull()
		}
		f.stages.all = f.stages.all || t.Sick
		if t.Left && len(t.Entries) == 0 && total < budget { // suspects, while this worker has one
			f.rings.skip(r.In, ringPause)
		}
		r.collected.measure(t.Entries, total >= budget)
		r.backlog.Store(total >= budget && len(f.busy) <= 1 && !r.userBounded())
		send := f.dispatch
		if r.batched() {
			send = f.batchOf(t.Cut)
		}
		if err := send(ctx, r, t.Entries); err != nil {
			return n, err
		}
		n += len(t.Entries)
	}
	return n, nil
}

// recall asks Redis which entries this worker holds, and dispatches those that it does not know of: a
// lost reply brought them, or Redis has lost their completions with its last writes.
func (f *fetcher) recall(ctx context.Context) error {
	failures := f.client.Failures()
	f.entries.beginRecall()
	defer f.entries.endRecall()
	for _, r := range f.all {
		if r.sick {
			continue
		}
		entries, err := f.client.Held(ctx, f.id, r.In)
		if broker.IsSick(err) {
			r.sick = true
			continue
		}
		if err != nil {
			return err
		}
		if err := f.dispatch(ctx, r, slices.DeleteFunc(entries, f.entries.recalled)); err != nil {
			return err
		}
	}
	f.holds.asked(time.Now(), failures, f.lease)
	return nil
}

// hasOwnRetry reports whether an entry failed in this worker, and another one may succeed with it.
func (f *fetcher) hasOwnRetry(entries []broker.Entry) bool {
	if f.reporter.fleet.Load() <= 1 {
		return false
	}
	for i := range entries { // in place: an entry is large
		if entries[i].Failed == f.id {
			return true
		}
	}
	return false
}

// dispatch passes entries to the slots. It requeues entries at once for which there is no slot,
// since a read counts by stream. It also requeues, once, a retry of an item that failed in this
// worker: a free worker gets it first. Such a retry of a limited stage has paid for its call.
func (f *fetcher) dispatch(ctx context.Context, r *route, entries []broker.Entry) error {
	if len(entries) > 0 {
		f.noteWork(r)
	}
	if r.joins() {
		entries = f.collect(r, entries)
	}
	if err := f.client.Fetch(ctx, &f.memory, entries); err != nil {
		return err
	}
	if f.rings.on && !r.limited() && f.hasOwnRetry(entries) { // the worker that is rung for it reads it first
		f.rings.skip(r.In, sweep/4)
	}
	for _, e := range entries {
		if !f.entries.add(e.Ref) {
			continue
		}
		if e.Failed == f.id && !r.limited() || f.worker.draining.Load() || r.ahead.Load() == 0 && f.expensive() >= 3*f.concurrency() || len(f.work) == cap(f.work) || !r.limiter.begin() {
			f.completions <- requeue(r, e, e.Batch)
			continue
		}
		j := f.newJob(r, e)
		j.leaf = r.held.most
		f.work <- *j // the only sender
	}
	return nil
}
