package edge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// missPace is how long an offset is missed before an audit may look for it, and the time between two audits that
	// agree.
	missPace = 3 * time.Second
	// maxMissPace is the longest time between two audits of offsets that are on their way.
	maxMissPace = time.Minute
	// auditSources are looked for by one audit.
	auditSources = 500
	// auditShare is the part of the time that audits may take: one in so many.
	auditShare = 20
)

// A miss is the lowest offset of a source that has not come.
type miss struct {
	offset int64
	since  time.Time
	stray  broker.Ref // where the last audit found it, pending with no consumer
	absent ranges     // offsets that the last audit found nowhere
}

// An auditor decides when to look for offsets that are missed. It costs nothing while the flow has a backlog that was
// there when the offset was first missed: the offset may be in it.
type auditor struct {
	pace   time.Duration
	wait   time.Duration // after an audit that finds all on the way
	next   time.Time
	misses map[string]*miss
	// added is, for each queue of the flow, how many items had been added when an offset was first missed for long.
	added map[string]int64
}

func newAuditor() *auditor {
	return &auditor{pace: missPace, wait: missPace, misses: map[string]*miss{}}
}

// patience is how long a read may wait until there is something to audit, at most wait.
func (a *auditor) patience(wait time.Duration) time.Duration {
	if len(a.misses) == 0 {
		return wait
	}
	return max(min(wait, time.Until(a.next)), time.Millisecond)
}

// audit looks for offsets that are missed for long. Those on their way are waited for, entries that two audits find
// pending with no consumer are put back, and offsets that two audits find nowhere are lost.
func (r *Receiver) audit(ctx context.Context) error {
	a, now := r.auditor, time.Now()
	if now.Before(a.next) {
		return nil
	}
	a.next = now.Add(a.pace)
	gaps := r.missing(now)
	if len(gaps) == 0 {
		a.added = nil
		return nil
	}
	found, done, err := r.search(ctx, gaps)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.log.WarnContext(ctx, "audit failed; it is repeated", "queue", r.g.Queue.Name, "err", err)
		a.later()
	}
	if err != nil || !done {
		return nil
	}
	a.added = nil
	sure := false // an audit that agrees decides
	for _, gap := range gaps {
		decided, err := r.judge(ctx, gap, found)
		if err != nil {
			return err
		}
		sure = sure || !decided
	}
	a.next = time.Now().Add(a.pace)
	if !sure {
		a.later()
	}
	if took := time.Since(now); took*auditShare > time.Until(a.next) {
		a.next = time.Now().Add(took * auditShare)
	}
	return nil
}

// later doubles the time until the next audit.
func (a *auditor) later() {
	a.wait = min(2*a.wait, maxMissPace)
	a.next = time.Now().Add(a.wait)
}

// missing returns the offsets that have been missed for long enough to look for them.
func (r *Receiver) missing(now time.Time) (gaps []broker.Gap) {
	a := r.auditor
	for name := range a.misses {
		if s := r.sources.known[name]; s == nil || r.order.reached(name) >= s.stored {
			delete(a.misses, name)
		}
	}
	if len(a.misses) == 0 {
		a.wait = a.pace
	}
	for _, s := range r.sources.list {
		next := r.order.reached(s.name)
		if next >= s.stored {
			continue
		}
		if m := a.misses[s.name]; m == nil || m.offset != next {
			a.misses[s.name] = &miss{offset: next, since: now}
		} else if now.Sub(m.since) >= a.pace {
			gaps = append(gaps, broker.Gap{Source: s.name, Offset: next})
		}
	}
	slices.SortFunc(gaps, func(x, y broker.Gap) int {
		return cmp.Or(a.misses[x.Source].since.Compare(a.misses[y.Source].since), cmp.Compare(x.Source, y.Source))
	})
	return gaps[:min(len(gaps), auditSources)]
}

// search audits the flow, once the backlog is read that was there when an offset was first missed for long. done
// reports whether it did.
func (r *Receiver) search(ctx context.Context, gaps []broker.Gap) (found broker.Audit, done bool, err error) {
	way, err := r.c.Upstream(ctx, r.g)
	if err != nil {
		return found, false, err
	}
	first := r.auditor.added == nil
	if first {
		r.auditor.added = map[string]int64{}
	}
	for _, path := range way {
		backlog, err := r.c.Waiting(ctx, path.Queue)
		if broker.IsGone(err) {
			continue
		}
		if err != nil {
			return found, false, err
		}
		if _, noted := r.auditor.added[path.Queue]; !noted {
			r.auditor.added[path.Queue] = backlog.Added
		}
		if backlog.Added-backlog.Items < r.auditor.added[path.Queue] {
			return found, false, nil
		}
	}
	found, err = r.c.Audit(ctx, r.g, way, gaps)
	return found, err == nil, err
}

// judge decides on one offset. decided is false if another audit has to agree.
func (r *Receiver) judge(ctx context.Context, gap broker.Gap, seen broker.Audit) (decided bool, err error) {
	m := r.auditor.misses[gap.Source]
	at, found := seen.Found[gap.Source]
	switch {
	case !found:
		return r.lost(ctx, gap.Source, m, seen.Above[gap.Source])
	case at.Stray:
		return r.orphaned(ctx, gap.Source, m, at)
	}
	m.stray, m.absent = broker.Ref{}, nil
	switch {
	case at.Queue != r.g.Queue.Name:
	case at.Kind == broker.Fresh: // held by this gather: a reply was lost
		r.recall = true
	default: // a worker requeued it after its stage was removed
		return false, r.c.CollectRequeued(ctx, r.g)
	}
	return true, nil
}

// orphaned puts back an entry that is pending with no consumer, if the last audit found it so too.
func (r *Receiver) orphaned(ctx context.Context, source string, m *miss, at broker.Found) (decided bool, err error) {
	m.absent = nil
	if m.stray != at.Ref {
		m.stray = at.Ref
		return false, nil
	}
	m.stray = broker.Ref{}
	n, err := r.c.RequeueStray(ctx, r.g, at)
	if err != nil {
		r.log.WarnContext(ctx, "orphaned entries cannot be put back", "queue", at.Queue, "source", source, "err", err)
		return true, context.Cause(ctx)
	}
	r.recall = r.recall || at.Queue == r.g.Queue.Name
	r.log.LogAttrs(ctx, slog.LevelWarn, "orphaned entries are put back",
		slog.String("queue", at.Queue), slog.String("source", source), slog.Int64("offset", m.offset), slog.Int64("entries", n))
	return false, nil
}

// lost gives up offsets that two audits found nowhere: a failure takes their place.
func (r *Receiver) lost(ctx context.Context, source string, m *miss, above []broker.Found) (decided bool, err error) {
	m.stray = broker.Ref{}
	s := r.sources.known[source]
	if s == nil { // it was forgotten meanwhile
		return true, nil
	}
	var there ranges
	for _, s := range above {
		there = there.add(s.First, s.End)
	}
	var absent ranges
	for _, s := range r.order.missing(source, s.stored) {
		absent = append(absent, there.without(s.from, s.to)...)
	}
	if m.absent == nil {
		m.absent = absent
		s.gaps = m.offset // another source may have dropped items of this one behind the gaps that are known
		return false, r.skip(ctx, s)
	}
	lost := absent.both(m.absent)
	m.absent = nil
	for _, s := range lost {
		r.log.LogAttrs(ctx, slog.LevelError, "stored items are in no queue any more",
			slog.String("queue", r.g.Queue.Name), slog.String("source", source), slog.Int64("from", s.from), slog.Int64("to", s.to))
		r.lose(source, s)
	}
	return true, r.flush(ctx)
}

// lose puts failures in the place of items.
func (r *Receiver) lose(source string, s span) {
	r.order.fail(source, s, &batch.Failure{Code: batch.CodeLost, Stage: r.g.Queue.Name, Message: fmt.Sprintf(
		"the items %d to %d of source %s were stored and are in no queue any more: Redis lost them, or they were deleted", s.from, s.to-1, source)})
}
