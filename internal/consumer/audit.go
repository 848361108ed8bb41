package consumer

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

const (
	// auditInterval is how long an offset has to be missing before an audit searches for it, and
	// the time between two audits that have to agree.
	auditInterval = 3 * time.Second
	// maxAuditInterval is the longest time between two audits that find all offsets in progress.
	maxAuditInterval = time.Minute
	// auditSources is how many sources one audit searches for.
	auditSources = 500
	// auditShare bounds the time that audits take: 1/auditShare of all time.
	auditShare = 20
)

// A missing is the lowest offset of a source that has not arrived, or that of a child of the source.
type missing struct {
	broker.Gap
	since    time.Time
	orphaned broker.Ref // the entry that the last audit found, pending without a consumer
	absent   ranges.Set // offsets that the last audit did not find
}

// An auditor searches the flow for items that are missing for long. Each missing offset is in one
// of these states:
//
//	state       an audit finds it              consequence
//	inProgress  in an entry that will be read  none; the next audit is later
//	orphaned    pending without a consumer     if two audits agree, its entry is requeued
//	lost        in no entry                    if two audits agree, a failure takes its place
//
// An audit pages through all entries of the flow. So the auditor waits until the backlog is read
// that was there when an offset was first missing: the offset may be in it.
type auditor struct {
	client  *broker.Client
	gather  broker.Gather
	log     *slog.Logger
	sources *sources
	order   *order

	interval time.Duration
	backoff  time.Duration // until the next audit, after one that finds all offsets in progress
	next     time.Time
	missing  map[string]*missing // by source
	// added is, for each queue of the flow, the number of items added to it when an offset was
	// first missing for long.
	added map[string]int64
}

// findings are the consequences of an audit.
type findings struct {
	reread  bool      // this gather holds entries that it has not received
	dropped []*source // sources whose dropped ranges have to be read again
	lost    []lostRange
}

// A lostRange is stored items of a source that are in no queue any more.
type lostRange struct {
	source string
	ranges.Span
}

func newAuditor(c *broker.Client, g broker.Gather, log *slog.Logger, ss *sources, o *order) *auditor {
	return &auditor{
		client: c, gather: g, log: log, sources: ss, order: o,
		interval: auditInterval, backoff: auditInterval, missing: map[string]*missing{},
	}
}

// limit returns how long a read can wait until the next audit, at most wait.
func (a *auditor) limit(wait time.Duration) time.Duration {
	if len(a.missing) == 0 {
		return wait
	}
	return max(min(wait, time.Until(a.next)), time.Millisecond)
}

// audit searches for offsets that are missing for long, if an audit is due.
func (a *auditor) audit(ctx context.Context) (findings, error) {
	began := time.Now()
	if began.Before(a.next) {
		return findings{}, nil
	}
	a.next = began.Add(a.interval)
	gaps := a.overdue(began)
	if len(gaps) == 0 {
		a.added = nil
		return findings{}, nil
	}
	found, searched, err := a.search(ctx, gaps)
	if ctx.Err() != nil {
		return findings{}, context.Cause(ctx)
	}
	if err != nil {
		a.log.WarnContext(ctx, "audit failed; it is repeated", "queue", a.gather.Queue.Name, "err", err)
		a.postpone()
	}
	if err != nil || !searched {
		return findings{}, nil
	}
	a.added = nil
	return a.decide(ctx, began, gaps, found)
}

// decide decides about each gap, and when the next audit is due.
func (a *auditor) decide(ctx context.Context, began time.Time, gaps []broker.Gap, found broker.Audit) (fs findings, err error) {
	repeat := false // another audit has to agree
	for _, gap := range gaps {
		decided, err := a.judge(ctx, gap, found, &fs)
		if err != nil {
			return fs, err
		}
		repeat = repeat || !decided
	}
	a.next = time.Now().Add(a.interval)
	if !repeat {
		a.postpone()
	}
	if took := time.Since(began); took*auditShare > time.Until(a.next) {
		a.next = time.Now().Add(took * auditShare)
	}
	return fs, nil
}

// postpone doubles the time until the next audit.
func (a *auditor) postpone() {
	a.backoff = min(2*a.backoff, maxAuditInterval)
	a.next = time.Now().Add(a.backoff)
}

// overdue returns the offsets that are missing for long enough to search for them, the oldest
// first.
func (a *auditor) overdue(now time.Time) (gaps []broker.Gap) {
	for name := range a.missing {
		if s := a.sources.byName[name]; s == nil || a.order.handedOut(name) >= s.stored {
			delete(a.missing, name)
		}
	}
	if len(a.missing) == 0 {
		a.backoff = a.interval
	}
	for _, s := range a.sources.list {
		if a.order.handedOut(s.name) >= s.stored {
			continue
		}
		gap := a.order.gap(s.name)
		if m := a.missing[s.name]; m == nil || m.Gap != gap {
			a.missing[s.name] = &missing{Gap: gap, since: now}
		} else if now.Sub(m.since) >= a.interval {
			gaps = append(gaps, gap)
		}
	}
	slices.SortFunc(gaps, func(x, y broker.Gap) int {
		return cmp.Or(a.missingOf(x).since.Compare(a.missingOf(y).since), cmp.Compare(x.Source, y.Source))
	})
	return gaps[:min(len(gaps), auditSources)]
}

func (a *auditor) missingOf(gap broker.Gap) *missing {
	source, _ := broker.Ancestor(gap.Source, 0)
	return a.missing[source]
}

// search searches the flow. searched is false if a queue still has backlog from the time when an
// offset was first missing for long.
func (a *auditor) search(ctx context.Context, gaps []broker.Gap) (found broker.Audit, searched bool, err error) {
	paths, err := a.client.Upstream(ctx, a.gather)
	if err != nil {
		return found, false, err
	}
	if a.added == nil {
		a.added = map[string]int64{}
	}
	for _, path := range paths {
		backlog, err := a.client.Waiting(ctx, path.Queue)
		if broker.IsGone(err) {
			continue
		}
		if err != nil {
			return found, false, err
		}
		if _, noted := a.added[path.Queue]; !noted {
			a.added[path.Queue] = backlog.Added
		}
		if backlog.Added-backlog.Items < a.added[path.Queue] {
			return found, false, nil
		}
	}
	found, err = a.client.Audit(ctx, a.gather, paths, gaps)
	return found, err == nil, err
}

// judge decides about one gap and adds the consequences to fs. decided is false if another audit
// has to agree.
func (a *auditor) judge(ctx context.Context, gap broker.Gap, found broker.Audit, fs *findings) (decided bool, err error) {
	m := a.missingOf(gap)
	at, ok := found.Found[gap.Source]
	switch {
	case !ok:
		return a.lost(ctx, gap.Source, m, found.Above[gap.Source], fs), nil
	case at.Stray:
		return a.orphaned(ctx, gap.Source, m, at, fs)
	}
	return a.inProgress(ctx, m, at, fs)
}

// inProgress handles an offset whose entry is on its way to this gather.
func (a *auditor) inProgress(ctx context.Context, m *missing, at broker.Found, fs *findings) (decided bool, err error) {
	m.orphaned, m.absent = broker.Ref{}, nil
	switch {
	case at.Queue != a.gather.Queue.Name:
	case at.Kind == broker.Fresh: // this gather holds the entry: a reply was lost
		fs.reread = true
	default: // a worker requeued the entry after its stage was removed
		return false, a.client.CollectRequeued(ctx, a.gather)
	}
	return true, nil
}

// orphaned requeues an entry that is pending without a consumer, if the last audit found the same.
func (a *auditor) orphaned(ctx context.Context, source string, m *missing, at broker.Found, fs *findings) (decided bool, err error) {
	m.absent = nil
	if m.orphaned != at.Ref {
		m.orphaned = at.Ref
		return false, nil
	}
	m.orphaned = broker.Ref{}
	n, err := a.client.RequeueStray(ctx, a.gather, at)
	if err != nil {
		a.log.WarnContext(ctx, "requeue of orphaned entries failed; a later audit repeats it", "queue", at.Queue, "source", source, "err", err)
		return true, context.Cause(ctx)
	}
	fs.reread = fs.reread || at.Queue == a.gather.Queue.Name
	a.log.LogAttrs(ctx, slog.LevelWarn, "orphaned entries were requeued",
		slog.String("queue", at.Queue), slog.String("source", source), slog.Int64("offset", m.Offset), slog.Int64("entries", n))
	return false, nil
}

// lost adds the offsets that two audits did not find to fs. above are the entries of the source
// that this audit has found.
func (a *auditor) lost(ctx context.Context, name string, m *missing, above []broker.Found, fs *findings) (decided bool) {
	m.orphaned = broker.Ref{}
	ancestor, _ := broker.Ancestor(name, 0)
	s := a.sources.byName[ancestor]
	if s == nil { // it was forgotten meanwhile
		return true
	}
	var found ranges.Set
	for _, f := range above {
		found = found.Add(f.First, f.End)
	}
	var absent ranges.Set
	for _, gap := range a.order.missing(name, a.order.end(name, s.stored)) {
		absent = append(absent, found.Without(gap.From, gap.To)...)
	}
	if m.absent == nil {
		m.absent = absent
		s.dropped = a.order.handedOut(s.name) // another source may have dropped items of this one, above the ranges that are known
		fs.dropped = append(fs.dropped, s)
		return false
	}
	lost := absent.Intersect(m.absent)
	m.absent = nil
	for _, span := range lost {
		a.log.LogAttrs(ctx, slog.LevelError, "stored items are lost; their results are errors",
			slog.String("queue", a.gather.Queue.Name), slog.String("source", name), slog.Int64("from", span.From), slog.Int64("to", span.To))
		fs.lost = append(fs.lost, lostRange{name, span})
	}
	return true
}
