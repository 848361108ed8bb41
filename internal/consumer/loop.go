package consumer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A readLoop reads a queue until its stream has ended, and hands out ranges. It passes data from
// one part to the next; one goroutine runs it.
type readLoop struct {
	client    *broker.Client
	gather    broker.Gather
	reader    *reader
	payloads  *payloads
	validator *validator
	sources   *sources
	order     *order
	auditor   *auditor
	wanted    *wanted
	output    *output
	tracker   *tracker
}

// run hands out ranges until the stream has ended. It returns nil if all sources have ended
// normally. The states of the stream are those of streamState.
func (l *readLoop) run(ctx context.Context) error {
	entries, err := l.client.Inherit(ctx, l.gather)
	for err == nil {
		if err = l.process(ctx, entries); err != nil {
			break
		}
		if l.sources.due() {
			if err = l.refresh(ctx); err != nil {
				break
			}
		}
		switch l.sources.state() {
		case streamEnded:
			return l.sources.truncated()
		case streamReplaced:
			return l.drain(ctx)
		case streamOpen:
		}
		if err = l.audit(ctx); err != nil {
			break
		}
		l.wanted.look(time.Now())
		entries, err = l.read(ctx)
	}
	return err
}

// drain hands out the rest of a queue that gets no more items, also behind missing ones, and
// returns why the stream ends.
func (l *readLoop) drain(ctx context.Context) error {
	for {
		entries, err := l.reader.available(ctx)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		if err := l.process(ctx, entries); err != nil {
			return err
		}
	}
	l.order.release()
	if err := l.emit(ctx); err != nil {
		return err
	}
	if l.sources.state() == streamEnded {
		return l.sources.truncated()
	}
	return fmt.Errorf("gather queue %s: %w: stage %s", l.gather.Queue.Name, broker.ErrStageReplaced, l.sources.replacedBy)
}

// read waits for entries and hints.
func (l *readLoop) read(ctx context.Context) ([]broker.Entry, error) {
	got, err := l.reader.next(ctx, l.auditor.limit(l.client.Patience(readWait)))
	if err != nil {
		return nil, err
	}
	l.sources.request(got.refresh)
	switch got.outcome {
	case readNew:
		l.sources.resetInterval()
	case readIdle:
		l.payloads.memory.Forget() // a process may have a thousand gathers, most of them idle
	case readHeld, readFailed:
	}
	return got.entries, nil
}

// process validates entries, puts them in order and hands out the ranges that are due.
func (l *readLoop) process(ctx context.Context, entries []broker.Entry) error {
	entries = l.reader.unseen(entries, l.tracker.takeDeleted())
	if err := l.payloads.fetch(ctx, entries); err != nil {
		return err
	}
	entries, err := l.validate(ctx, entries)
	if err != nil {
		return err
	}
	l.reader.adapt(entries)
	for i := range entries {
		e := entries[i]
		if l.order.put(&e) == 0 {
			l.tracker.addDelivered(e)
		}
	}
	return l.emit(ctx)
}

// validate returns the valid entries. One read of the sources confirms all doubtful entries: a
// source that it does not find is forgotten, and with it which of its items are delivered.
func (l *readLoop) validate(ctx context.Context, entries []broker.Entry) ([]broker.Entry, error) {
	defects, doubtful := l.validator.check(entries)
	if len(doubtful) > 0 {
		if err := l.readNamed(ctx, doubtful); err != nil {
			return nil, err
		}
	}
	valid, rejected, err := l.validator.accept(ctx, entries, defects)
	for _, e := range rejected {
		l.reader.forget(e.ID)
	}
	return valid, err
}

// emit hands out the ranges that are due.
func (l *readLoop) emit(ctx context.Context) error {
	for rg, ok := l.order.pop(); ok; rg, ok = l.order.pop() {
		l.wanted.arrived(rg)
		if err := l.payloads.fetchDue(ctx, rg.Entry); err != nil {
			return err
		}
		if err := l.emitRange(ctx, rg); err != nil {
			return err
		}
		ancestor, _ := broker.Ancestor(rg.Entry.Source, 0)
		if s := l.sources.byName[ancestor]; s != nil {
			if err := l.checkEnd(ctx, s); err != nil {
				return err
			}
		}
	}
	for _, rg := range l.order.takeDuplicates() {
		l.tracker.skipDuplicate(rg)
	}
	return nil
}

// emitRange hands out a range. One without an item is delivered at once.
func (l *readLoop) emitRange(ctx context.Context, rg Range) error {
	rg, err := rg.locate()
	switch {
	case err != nil: // cannot happen: the frame was checked
		return err
	case rg.Len() == 0:
		l.tracker.cover(rg)
		return nil
	case rg.skip == nil || rg.positions == nil: // a lost entry is one failure
		return l.output.put(ctx, rg)
	}
	for _, part := range rg.without(rg.skip) {
		if err := l.output.put(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// audit searches for missing items, if an audit is due.
func (l *readLoop) audit(ctx context.Context) error {
	found, err := l.auditor.audit(ctx)
	if err != nil {
		return err
	}
	l.reader.reread = l.reader.reread || found.reread
	for _, s := range found.dropped {
		if err := l.handleDropped(ctx, s); err != nil {
			return err
		}
	}
	for _, lost := range found.lost {
		l.order.fail(lost.source, lost.Span, &batch.Failure{Code: batch.CodeLost, Stage: l.gather.Queue.Name, Message: fmt.Sprintf(
			"the items %d to %d of source %s were stored and are in no queue any more: Redis lost them, or they were deleted",
			lost.From, lost.To-1, lost.source)})
	}
	return l.emit(ctx)
}

// refresh reads the sources that have changed since the last refresh, and a few others.
func (l *readLoop) refresh(ctx context.Context) error {
	l.sources.beginRefresh()
	for _, root := range l.sources.roots {
		if err := l.readSources(ctx, root, l.sources.unchanged(root)); err != nil {
			return err
		}
	}
	for _, name := range l.sources.endRefresh() {
		l.handleAbsent(name)
	}
	return nil
}

// readNamed reads sources by their names in the gathered queue.
func (l *readLoop) readNamed(ctx context.Context, names []string) error {
	for _, root := range l.sources.roots {
		var here []string
		for _, name := range names {
			if at, branch := broker.Root(name); branch == root.Branch && !slices.Contains(here, at) {
				here = append(here, at)
			}
		}
		if len(here) > 0 {
			if err := l.readSources(ctx, root, here); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSources reads the sources of a root that have changed, and the sources with the names.
func (l *readLoop) readSources(ctx context.Context, of *root, names []string) error {
	for more := true; more; names = nil {
		page, err := l.sources.read(ctx, of, names)
		if err != nil {
			return err
		}
		more = page.More
		for _, p := range page.Sources {
			names = slices.DeleteFunc(names, func(name string) bool { return name == p.Name })
			if err := l.handleProgress(ctx, of, p); err != nil {
				return err
			}
		}
		for _, name := range names {
			l.handleAbsent(name + of.Branch)
		}
	}
	for _, name := range l.tracker.takeRetired() { // a page may have been read before they were retired
		l.forget(name)
	}
	return nil
}

// handleProgress handles the state of a source that was read.
func (l *readLoop) handleProgress(ctx context.Context, of *root, p broker.Progress) error {
	s := l.sources.update(of, p)
	l.tracker.setRoot(s.name, of.Queue)
	if p.Dropped {
		if err := l.handleDropped(ctx, s); err != nil {
			return err
		}
	}
	if p.End >= 0 {
		return l.checkEnd(ctx, s)
	}
	l.sources.setHandedOut(s, false)
	if p.Away == "" {
		s.notice = ""
		return nil
	}
	return l.notify(ctx, s, batch.CodeAway, s.offline(p.Away))
}

// handleDropped puts a failure in the place of each item that a source has dropped: no entry will
// arrive for it.
func (l *readLoop) handleDropped(ctx context.Context, s *source) error {
	why := batch.Failure{
		Code: batch.CodeDropped, Message: "there was no room for it in queue " + s.root.Queue, Stage: s.root.Queue,
	}
	for more := true; more; {
		dropped, further, err := l.sources.readDropped(ctx, s)
		if err != nil {
			return err
		}
		l.order.drop(s.name, dropped, why)
		more = further
	}
	return l.emit(ctx)
}

// handleAbsent removes a source that Redis does not have, unless some of its entries still wait for
// items before them. The source is delivered to its end, its key was deleted, or it was lost with
// the last writes.
func (l *readLoop) handleAbsent(name string) {
	if !l.order.holds(name) {
		l.forget(name)
	}
}

// forget removes a source from all parts.
func (l *readLoop) forget(name string) {
	l.sources.forget(name)
	l.order.forget(name)
	l.tracker.forget(name)
}

// checkEnd handles a source that was handed out to its end. It is forgotten once it is delivered,
// unless the stream ends with an error about it.
func (l *readLoop) checkEnd(ctx context.Context, s *source) error {
	if s.end < 0 || s.handedOut || l.order.handedOut(s.name) < s.end {
		return nil
	}
	l.sources.setHandedOut(s, true)
	if s.abandoned != "" && s.root.sealed {
		return nil
	}
	if s.abandoned != "" {
		if err := l.notify(ctx, s, batch.CodeCut, s.truncated().Error()); err != nil {
			return err
		}
	}
	l.tracker.retire(s.name, s.end)
	return nil
}

// notify hands out a notice about a source, unless it equals the last one.
func (l *readLoop) notify(ctx context.Context, s *source, code, text string) error {
	if !s.note(text) {
		return nil
	}
	return l.output.put(ctx, newNotice(s.name, code, text))
}
