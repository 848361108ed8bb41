package worker

import (
	"context"
	"runtime"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// abandonAfter is the time after the end of its context after which an operator may abandon a call.
const abandonAfter = 10 * time.Second

// An abandonedCall is a call whose slot has a successor. The item at offset becomes a failure.
type abandonedCall struct {
	job    job
	route  *route // of the call; that of the job, or one that is fused with it
	source string
	offset int64
	attrs  []any         // for logs
	ended  chan struct{} // closed when the goroutine of the slot ends
}

// abandonItem ends the context of the call that runs on an item. If it has ended long ago, the slot
// gets a successor instead, and the results of the call are dropped.
func (s *session) abandonItem(ctx context.Context, item string) {
	source, offset, ok := parseItem(item)
	if !ok {
		return
	}
	for _, h := range s.slots.list() {
		if call, ok := h.abandon(source, offset, time.Now()); ok {
			s.succeed(ctx, h, call)
			return
		}
		h.now.cancelItem(source, offset)
	}
}

// abandon marks the call of the slot as abandoned if it runs on an item, and its context ended long
// before now.
func (s *slot) abandon(source string, offset int64, now time.Time) (call abandonedCall, ok bool) {
	c := &s.now
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, ok := c.runsOn(source, offset); !ok || c.abandoned != nil || c.ended.IsZero() || now.Sub(c.ended) < abandonAfter {
		return abandonedCall{}, false
	}
	c.abandoned = make(chan struct{})
	return abandonedCall{*s.job, c.route, source, offset, c.hung().attrs(), c.abandoned}, true
}

// succeed starts the successor of a slot, and completes the job of the call that the slot still runs.
func (s *session) succeed(ctx context.Context, h *slot, call abandonedCall) {
	returned := s.leaveBehind(call.route, call.attrs)
	go func() {
		<-call.ended
		returned()
	}()
	call.route.breaker.end(0, 0)
	s.endCall(ctx, call.route.limiter)
	s.start(s.slots.replace(h, s.makeSlot()))
	h.group.Done()
	var made []completion
	for _, e := range append([]broker.Entry{call.job.entry}, call.job.more...) {
		made = append(made, call.completion(e))
	}
	s.worker.counts.failed.Add(1)
	s.endWork(call.job.route, made)
	s.worker.partitions.end()
	s.queueCompletions(made)
}

// completion returns the completion of an entry of the job: the canceled item is a failure, and the
// others go back. The function may still read the frame.
func (a abandonedCall) completion(e broker.Entry) completion {
	at := int(a.offset - e.First)
	if a.source != e.Source || at < 0 || at >= e.N {
		return requeue(a.job.route, e, e.Batch).withoutReuse()
	}
	var cuts []int
	for _, cut := range []int{at, at + 1} {
		if 0 < cut && cut < e.N {
			cuts = append(cuts, cut)
		}
	}
	parts, err := e.Parts(cuts)
	if err != nil {
		return malformed(a.job, err).withoutReuse()
	}
	var rest []batch.Batch
	for _, part := range parts {
		if part.First != a.offset {
			rest = append(rest, part)
		}
	}
	d := requeue(a.job.route, e, rest...).withoutReuse()
	why := batch.Failure{
		Code: batch.CodeCanceled, Stage: a.route.stage.ID, Function: a.route.stage.Function, Attempts: e.Attempts + 1,
		Message: (&runner.CanceledItems{}).Error() + "; the function does not return, and its goroutine is left behind",
	}
	var b batch.Builder
	b.Failure(why)
	if err := d.addResults(a.job.route.stage, batch.Batch{Source: e.Source, First: a.offset, N: 1, Frame: b.Take()}); err != nil {
		return malformed(a.job, err).withoutReuse()
	}
	a.route.crashed(failedAttempt{why, e.Source, a.offset})
	return d
}

// withoutReuse returns the completion without frames to reuse.
func (c completion) withoutReuse() completion {
	c.spent = nil
	return c
}

// endAbandoned ends the goroutine of a slot that has a successor.
func (s *slot) endAbandoned() {
	if s.now.isAbandoned() {
		runtime.Goexit()
	}
}
