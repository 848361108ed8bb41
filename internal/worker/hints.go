package worker

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// readBlocking waits for entries of the routes or hints in the mailbox, and acts on both. found
// reports whether there were any. It does not read limited routes, which Take alone reads.
func (f *fetcher) readBlocking(ctx context.Context, routes []*route, wait time.Duration) (found bool, err error) {
	from := make([]broker.StreamRef, 0, 2*len(routes))
	by := make(map[string]*route, len(routes))
	for _, r := range routes {
		if r.limited() {
			continue
		}
		from = append(from, broker.StreamRef{Queue: r.In, Kind: broker.Returned})
		if !r.beyond { // a blocked read ignores the window
			from = append(from, broker.StreamRef{Queue: r.In})
		}
		by[r.In] = r
	}
	count := 1
	if wait > 0 && f.concurrency()-int(f.jobs.Load()) >= 2 {
		count = 2 // more than one tells that the queue has a backlog
	}
	entries, hints, err := f.reader.Read(ctx, from, count, wait)
	if err != nil {
		f.poll.needed()
		return false, err
	}
	f.heard = time.Now()
	switch {
	case wait == 0 || slices.ContainsFunc(f.all, (*route).mayBeFull):
		f.poll.needed()
	case len(hints) == 0:
		f.poll.read(entries, count)
	case len(entries) == 0 && !slices.ContainsFunc(hints, func(h broker.Hint) bool { return h.Kind != broker.HintStages }):
		f.poll.hinted(f.heard)
	default:
		f.poll.needed()
	}
	if len(entries) > 0 && slices.ContainsFunc(hints, func(h broker.Hint) bool { return h.Kind == broker.HintStages }) {
		// The stages may have limits now. Entries of stages that have changed go back.
		if err := f.handleHints(ctx, hints); err != nil {
			return true, err
		}
		if hints = nil; f.stages.outdated() {
			if err := f.refresh(ctx); err != nil {
				return true, err
			}
		}
	}
	for _, e := range entries {
		by[e.Queue].collected.more = len(entries) >= count
		if err := f.dispatch(ctx, by[e.Queue], []broker.Entry{e}); err != nil {
			return true, err
		}
	}
	if len(entries) > 0 {
		runtime.Gosched() // the slot begins before this goroutine writes its next request
	}
	found = len(hints)+len(entries) > 0
	if wait >= readWait && !found {
		f.memory.Forget()
		f.stages.all = f.stages.all || !f.poll.skip && !f.rings.on
	}
	return found, f.handleHints(ctx, hints)
}

// readUntilDue is readBlocking that ends when a call of a held route is due.
func (f *fetcher) readUntilDue(ctx context.Context, routes []*route, wait time.Duration) (found bool, err error) {
	due := f.untilHeld(wait)
	if due < wait {
		defer f.reader.EndIn(ctx, due)()
	}
	return f.readBlocking(ctx, routes, due)
}

// handleHints acts on hints.
func (f *fetcher) handleHints(ctx context.Context, hints []broker.Hint) (err error) {
	if len(hints) == 0 {
		return nil
	}
	if f.heard.Sub(f.hinted) >= sweep {
		f.hinted, f.hints = f.heard, 0
	}
	if f.hints++; f.hints > fewHints { // so that a thousand new stages are one read
		_, more, err := f.reader.Read(ctx, nil, maxHints, 0)
		if err != nil {
			return err
		}
		hints = append(hints, more...)
	}
	for _, h := range hints {
		switch h.Kind {
		case broker.HintCancel:
			err = errors.Join(err, f.canceled(ctx))
		case broker.HintStop, broker.HintAbandon:
			err = errors.Join(err, f.stop(ctx, h))
		case broker.HintDrain:
			f.drain(ctx)
		case broker.HintWork:
			f.undrain(ctx)
		case broker.HintStages:
			f.stages.all = f.stages.all || h.What == "" || len(hints) > polledRoutes
			if !slices.Contains(f.stages.changed, h.What) {
				f.stages.changed = append(f.stages.changed, h.What)
			}
		case broker.HintReady:
			f.hearReady(h)
		case broker.HintVersion:
			f.hearOfVersion(ctx, h.What)
		case broker.HintSuccess:
			f.succeedsElsewhere(ctx, h.What)
		case broker.HintRoom:
			f.released(h.What)
			err = errors.Join(err, f.hearRoom(ctx))
		}
	}
	return err
}

// hearRoom acts on room in an out-queue or a window. The routes that had none are read again.
func (f *fetcher) hearRoom(ctx context.Context) error {
	var waited []*route
	for _, r := range f.all {
		if !r.full.IsZero() || r.beyond {
			waited = append(waited, r)
		}
		r.full = time.Time{}
	}
	clear(f.rings.skipped)
	if !f.rings.on || len(waited) == 0 {
		return nil
	}
	return f.markUnread(ctx, waited)
}
