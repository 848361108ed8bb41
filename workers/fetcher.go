package workers

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	readWait      = 2 * time.Second        // of a blocked read; also how long a hint may be lost
	busyWait      = time.Second            // until a worker without a free slot looks into its mailbox
	fullWait      = time.Second            // until a full queue is asked again, if no hint says that it has room
	sweep         = 20 * time.Millisecond  // how often a busy worker looks into its mailbox
	maxEmptyReads = 16                     // reads until a worker looks whether its out-queues have room
	maxHints      = 1000                   // a mailbox keeps no more
	failPause     = 100 * time.Millisecond // after a read that failed
	endWait       = 500 * time.Millisecond // from the hint that ends a blocked read until its connection is closed
)

// A job is an entry for a slot, or several that are adjacent.
type job struct {
	route *route
	entry broker.Entry
	more  []broker.Entry // behind it, for the same call
	leaf  int            // items of the parts that it should be cut into; 0: it should not
	since time.Time      // when it was taken
}

// job makes one of an entry that is held.
func (l *session) job(r *route, e broker.Entry) *job {
	l.held.Add(1)
	r.held.Add(1)
	return &job{route: r, entry: e, since: time.Now()}
}

// fetcher takes work while there are slots for it, until ctx ends. No other goroutine reads, except a
// slot that goes on with the entry behind its own work.
type fetcher struct {
	*session
	routeScheduler
	stale      bool      // read all stages again,
	changed    []string  // or those with these ids
	lost       bool      // a reply was lost: look at what is held
	skipPoll   bool      // the last read that waited has taken all entries,
	emptyReads int       // and so many before it
	again      time.Time // when to look once more, the request itself may have come late; zero: not
	failed     int64     // calls of the client, when that was last looked at
	heard      time.Time
	counted    time.Time // when the stock was looked at
	joining    []*route  // of which something is collected
}

// It returns an error where the Redis user may not read.
func (l *session) fetch(ctx context.Context) error {
	in := &fetcher{session: l, stale: true}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		in.endRead(ctx, stop)
	}()
	defer func() {
		close(stop)
		<-ended
		in.giveBackAll(ctx)
		_ = in.reader.Close()
		l.read, l.unsure = in.mayHold()
	}()
	for ctx.Err() == nil {
		err := in.step(ctx)
		if err == nil {
			continue
		}
		in.lost, in.stale = true, true
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, broker.ErrDenied) {
			return err
		}
		l.log.DebugContext(ctx, "fetch failed; it is repeated", "err", err)
		pause(ctx, failPause)
	}
	return nil
}

// endRead ends a blocked read when ctx ends, by a hint: closing the connection could lose a
// reply with entries. If the hint does not end the read within endWait, or this worker is
// fenced, endRead closes the connection.
func (in *fetcher) endRead(ctx context.Context, stop <-chan struct{}) {
	select {
	case <-stop:
		return
	case <-ctx.Done():
	}
	if !errors.Is(context.Cause(ctx), broker.ErrFenced) {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
		defer cancel()
		in.wake(limit, "")
		select {
		case <-stop:
			return
		case <-limit.Done():
		}
	}
	in.reader.Interrupt()
}

// mayHold returns the queues of the routes, and of them those of which this worker may hold
// entries that it does not know of: all if a reply was lost, or a request may still arrive late.
func (in *fetcher) mayHold() (queues, unsure []string) {
	for _, r := range in.all {
		queues = append(queues, r.In)
	}
	if in.lost || !in.again.IsZero() || in.failed != in.client.Failures() {
		unsure = queues
	}
	return queues, unsure
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// step waits for a free slot or for work, and brings the two together.
func (in *fetcher) step(ctx context.Context) (err error) {
	if in.look.Swap(false) {
		in.stale, in.lost = true, true
	}
	if in.stale || in.changed != nil {
		if err := in.refresh(ctx); err != nil {
			return err
		}
	}
	late := !in.again.IsZero() && time.Now().After(in.again)
	if late || in.lost || in.failed != in.client.Failures() {
		if err := in.recover(ctx); err != nil {
			return err
		}
		if in.again = (time.Time{}); !late {
			in.again = time.Now().Add(in.lease)
		}
	}
	if err := in.dispatchCalls(ctx); err != nil {
		return err
	}
	in.unstock()
	asked, lately := in.asked()
	shares := in.shares(asked)
	if slices.ContainsFunc(shares, func(s share) bool { return s.budget <= 0 }) {
		return in.awaitSlot(ctx)
	}
	if time.Since(in.heard) >= sweep {
		if found, err := in.readBlocking(ctx, in.others(cap(in.work)-len(in.work)), 0); found || err != nil {
			return err
		}
	}
	if !in.skipPoll || len(in.joining) > 0 {
		found := 0
		for _, s := range shares {
			n, err := in.take(ctx, s.routes, s.budget)
			if found += n; err != nil {
				return err
			}
		}
		if found > 0 || in.linger(ctx) {
			return nil
		}
	}
	if lately { // the others are read by and by
		_, err = in.readBlocking(ctx, asked, sweep)
	} else {
		_, err = in.readBlocking(ctx, in.open(), in.client.Patience(readWait))
	}
	return err
}

// awaitSlot waits until a slot may be free.
func (in *fetcher) awaitSlot(ctx context.Context) (err error) {
	wait := busyWait
	if len(in.joining) > 0 || len(in.work) > 0 {
		wait = stale / 2
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-in.freed:
	case <-timer.C: // a connection that idles may be closed, and is the sign of life
		if time.Since(in.heard) < busyWait {
			break
		}
		in.changed = append(in.changed, in.working()...) // a hint may be lost
		_, err = in.readBlocking(ctx, nil, 0)
	}
	return err
}

// refresh reads the stages that may have changed.
func (in *fetcher) refresh(ctx context.Context) error {
	ids := in.changed
	if in.stale {
		ids = nil
	}
	all, fresh, err := in.routes(ctx, in.all, ids)
	if err != nil {
		return err
	}
	in.replace(all, fresh)
	in.stale, in.changed = false, nil
	return nil
}

// take takes entries without waiting.
func (in *fetcher) take(ctx context.Context, routes []*route, budget int) (n int, err error) {
	if len(routes) == 0 {
		return 0, nil
	}
	ask := make([]broker.Route, len(routes))
	for i, r := range routes {
		ask[i] = r.Route
	}
	suspects := int(max(0, 1-in.suspects.Load()))
	taken, err := in.client.Take(ctx, in.id, budget, suspects, ask)
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
		r.shut.Store(t.Full || t.Beyond)
		if t.Full {
			r.full = time.Now()
		}
		in.stale = in.stale || t.Sick
		r.collected.measure(t.Entries, total >= budget)
		r.backlog.Store(total >= budget && len(in.busy) <= 1 && !r.limited())
		if err := in.dispatch(ctx, r, t.Entries); err != nil {
			return n, err
		}
		n += len(t.Entries)
	}
	return n, nil
}

// readBlocking waits until the mailbox or one of the queues has something, which it tells.
func (in *fetcher) readBlocking(ctx context.Context, routes []*route, wait time.Duration) (found bool, err error) {
	from := make([]broker.StreamRef, 0, 2*len(routes))
	by := make(map[string]*route, len(routes))
	for _, r := range routes {
		from = append(from, broker.StreamRef{Queue: r.In, Kind: broker.Returned})
		if !r.beyond { // a read that waits looks at no window
			from = append(from, broker.StreamRef{Queue: r.In})
		}
		by[r.In] = r
	}
	count := 1
	if wait > 0 && in.concurrency-int(in.held.Load()) >= 2 {
		count = 2 // to see whether there are more
	}
	looked := !in.skipPoll
	in.skipPoll = false
	entries, hints, err := in.reader.Read(ctx, from, count, wait)
	if err != nil {
		return false, err
	}
	in.heard = time.Now()
	switch {
	case wait == 0 || len(hints) > 0 || slices.ContainsFunc(in.all, (*route).narrow):
	case len(entries) == 1:
		in.emptyReads++
		in.skipPoll = count == 2 && in.emptyReads%maxEmptyReads != 0 && entries[0].Payload == ""
	case len(entries) == 0:
		in.skipPoll = looked // for what no read brings, every second look is enough
	}
	for _, e := range entries {
		by[e.Queue].collected.more = len(entries) >= count
		if err := in.dispatch(ctx, by[e.Queue], []broker.Entry{e}); err != nil {
			return true, err
		}
	}
	if len(entries) > 0 {
		runtime.Gosched() // the slot begins before this goroutine writes its next request
	}
	found = len(hints)+len(entries) > 0
	if wait >= readWait && !found {
		in.memory.Forget()
		in.stale = in.stale || !in.skipPoll
	}
	return found, in.handleHints(ctx, hints)
}

// handleHints acts on hints.
func (in *fetcher) handleHints(ctx context.Context, hints []broker.Hint) error {
	if len(hints) == 0 {
		return nil
	}
	_, more, err := in.reader.Read(ctx, nil, maxHints, 0) // a thousand new stages are one reason to look
	if err != nil {
		return err
	}
	hints = append(hints, more...)
	for _, h := range hints {
		switch h.Kind {
		case broker.HintCancel:
			err = in.canceled(ctx)
		case broker.HintStages:
			if in.stale = in.stale || h.What == "" || len(hints) > few; !slices.Contains(in.changed, h.What) {
				in.changed = append(in.changed, h.What)
			}
		case broker.HintVersion:
			in.hearOfVersion(ctx, h.What)
		case broker.HintSuccess:
			in.succeedsElsewhere(ctx, h.What)
		case broker.HintRoom:
			for _, r := range in.all {
				r.full = time.Time{}
			}
		}
	}
	return err
}

// recover finds what a lost reply brought, and what was done already and is
// pending again since Redis has lost the last writes.
func (in *fetcher) recover(ctx context.Context) error {
	failed := in.client.Failures()
	in.remember()
	defer in.forget()
	for _, r := range in.all {
		if r.sick {
			continue
		}
		entries, err := in.client.Held(ctx, in.id, r.In)
		if broker.IsSick(err) {
			r.sick = true
			continue
		}
		if err != nil {
			return err
		}
		if err := in.dispatch(ctx, r, slices.DeleteFunc(entries, in.remembered)); err != nil {
			return err
		}
	}
	in.lost, in.failed = false, failed
	return nil
}

// dispatch passes entries to the slots. More than there are slots for came by
// chance, since a read counts by stream: they go back at once. So does, once, a
// retry of an item that failed in this worker: a worker that is free gets it before.
func (in *fetcher) dispatch(ctx context.Context, r *route, entries []broker.Entry) error {
	if len(entries) > 0 {
		in.found(r)
	}
	if r.joins() {
		entries = in.collect(r, entries)
	}
	if err := in.client.Fetch(ctx, &in.memory, entries); err != nil {
		return err
	}
	for _, e := range entries {
		if !in.hold(e.Ref) {
			continue
		}
		if e.Failed == in.id || r.ahead.Load() == 0 && in.dear() >= 3*in.concurrency || len(in.work) == cap(in.work) {
			in.completions <- requeue(r, e, e.Batch)
			continue
		}
		in.work <- *in.job(r, e) // the only sender
	}
	return nil
}
