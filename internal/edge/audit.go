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
	// missPatience is how long an offset is missed before an audit looks for
	// it, and the time between two audits that agree.
	missPatience = 3 * time.Second
	// maxPatience is the longest time between two audits of what is under way.
	maxPatience = time.Minute
	// auditSources are looked for by one audit.
	auditSources = 64
)

// A miss is the lowest offset of a source that has not come.
type miss struct {
	offset int64
	due    time.Time     // of the next audit
	wait   time.Duration // after an audit that finds it under way
	stray  broker.Ref    // where the last audit saw it, in nobody's hands
	absent ranges        // what the last audit found nowhere
}

// audit looks for what has been missed for long: what is under way is waited
// for, what two audits see in nobody's hands is put back, and what two audits
// find nowhere is lost.
func (r *Receiver) audit(ctx context.Context) error {
	gaps := r.gaps(time.Now())
	if len(gaps) == 0 {
		return nil
	}
	seen, err := r.c.Audit(ctx, r.g, r.roots, gaps)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.log.WarnContext(ctx, "an audit failed; it is made again", "queue", r.g.Queue.Name, "err", err)
	}
	for _, gap := range gaps {
		m := r.missed[gap.Source]
		if err != nil {
			m.later()
			continue
		}
		m.due = time.Now().Add(r.pace)
		sight, found := seen.Found[gap.Source]
		switch {
		case !found:
			err = r.nowhere(ctx, gap.Source, m, seen.Above[gap.Source])
		case sight.Stray:
			err = r.stray(ctx, gap.Source, m, sight)
		default:
			r.underWay(m, sight)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gaps is what has been missed for long enough to look for it.
func (r *Receiver) gaps(now time.Time) (gaps []broker.Gap) {
	for source := range r.missed {
		if _, listed := r.stored[source]; !listed {
			delete(r.missed, source)
		}
	}
	for source, stored := range r.stored {
		next, m := r.order.reached(source), r.missed[source]
		switch {
		case next >= stored:
			delete(r.missed, source)
		case m == nil || m.offset != next:
			r.missed[source] = &miss{offset: next, due: now.Add(r.pace), wait: r.pace}
		case !now.Before(m.due):
			gaps = append(gaps, broker.Gap{Source: source, Offset: next})
		}
	}
	slices.SortFunc(gaps, func(a, b broker.Gap) int {
		return cmp.Or(r.missed[a.Source].due.Compare(r.missed[b.Source].due), cmp.Compare(a.Source, b.Source))
	})
	return gaps[:min(len(gaps), auditSources)]
}

// overdue reports whether it is time for an audit.
func (r *Receiver) overdue() bool {
	for _, m := range r.missed {
		if !time.Now().Before(m.due) {
			return true
		}
	}
	return false
}

// patience is how long to wait for entries before there is something to audit.
func (r *Receiver) patience() time.Duration {
	wait := readWait
	for _, m := range r.missed {
		wait = min(wait, time.Until(m.due))
	}
	return max(wait, time.Millisecond)
}

// underWay waits longer for what is there.
func (r *Receiver) underWay(m *miss, at broker.Sight) {
	m.stray, m.absent = broker.Ref{}, nil
	m.later()
	if at.Queue == r.g.Queue.Name { // held by this gather: a reply was lost
		r.lost = true
	}
}

// later doubles the time until the next audit.
func (m *miss) later() {
	m.wait = min(2*m.wait, maxPatience)
	m.due = time.Now().Add(m.wait)
}

// stray puts back what is in nobody's hands, if the last audit saw it so too.
func (r *Receiver) stray(ctx context.Context, source string, m *miss, at broker.Sight) error {
	m.absent = nil
	if m.stray != at.Ref {
		m.stray = at.Ref
		return nil
	}
	m.stray = broker.Ref{}
	n, err := r.c.Rescue(ctx, r.g, at)
	if err != nil {
		m.later()
		r.log.WarnContext(ctx, "entries that are in nobody's hands cannot be put back", "queue", at.Queue, "source", source, "err", err)
		return context.Cause(ctx)
	}
	r.lost = r.lost || at.Queue == r.g.Queue.Name
	r.log.LogAttrs(ctx, slog.LevelWarn, "entries that were in nobody's hands are put back",
		slog.String("queue", at.Queue), slog.String("source", source), slog.Int64("offset", m.offset), slog.Int64("entries", n))
	return nil
}

// nowhere gives up what two audits found nowhere: it comes as lost.
func (r *Receiver) nowhere(ctx context.Context, source string, m *miss, above []broker.Sight) error {
	m.stray = broker.Ref{}
	var there ranges
	for _, s := range above {
		there = there.add(s.First, s.End)
	}
	var absent ranges
	for _, s := range r.order.missing(source, r.stored[source]) {
		absent = append(absent, there.without(s.from, s.to)...)
	}
	if m.absent == nil {
		m.absent = absent
		return nil
	}
	lost := absent.both(m.absent)
	m.absent = nil
	for _, s := range lost {
		r.log.LogAttrs(ctx, slog.LevelError, "items were stored and are in no queue any more",
			slog.String("queue", r.g.Queue.Name), slog.String("source", source), slog.Int64("from", s.from), slog.Int64("to", s.to))
		r.lose(source, s)
	}
	return r.flush(ctx)
}

// lose puts failures in the place of items.
func (r *Receiver) lose(source string, s span) {
	r.order.fail(source, s, &batch.Failure{Code: batch.CodeLost, Stage: r.g.Queue.Name, Message: fmt.Sprintf(
		"the items %d to %d of source %s were stored and are in no queue any more: Redis lost them, or somebody deleted them", s.from, s.to-1, source)})
}
