package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Bounds of a call that completes entries; a single entry may exceed them. A part is a batch that
// is added or requeued. With 256 parts Redis is busy for about a millisecond.
const (
	completeEntries = 64
	completeParts   = 256
	completeBytes   = 4 << 20
)

// repeatPause is the time between two attempts to store a completion that Redis has refused.
const repeatPause = time.Second

// size returns the parts and bytes of a completion.
func (c *completion) size() (parts, bytes int) {
	for _, out := range c.replace.Outs {
		bytes += len(out.Frame)
	}
	for _, rest := range c.replace.Remainders {
		bytes += len(rest.Frame)
	}
	return len(c.replace.Outs) + len(c.replace.Bypassed) + len(c.replace.Remainders), bytes
}

// inOneCall returns the number of completions that go into the next call.
func inOneCall(all []completion) int {
	parts, bytes := 0, 0
	for i := range all {
		p, b := all[i].size()
		parts, bytes = parts+p, bytes+b
		if i > 0 && (parts > completeParts || bytes > completeBytes) {
			return i
		}
	}
	return len(all)
}

// commitOrQueue commits the completions of a slot: at once if no other goroutine works or commits
// and another slot is free for new entries, and otherwise through complete. At once, it may also
// take the next entry of the following stage, with which the slot goes on.
func (s *session) commitOrQueue(ctx context.Context, made []completion) (next *job) {
	own := int64(0)
	if made[len(made)-1].endsJob {
		own = 1
	}
	if s.concurrency() == 1 || s.jobs.Load() > own || len(s.completions) > 0 {
		s.queueCompletions(made)
		return nil
	}
	select {
	case s.committing <- struct{}{}:
		defer func() { <-s.committing }()
	default:
		s.queueCompletions(made)
		return nil
	}
	if len(made) == 1 {
		if after := made[0].continuation(); after != nil && s.mayGoOn(after) && ctx.Err() == nil && !s.stopping.Load() && !s.worker.draining.Load() {
			return s.commitAndTakeNext(ctx, made[0], after)
		}
	}
	s.commit(ctx, made)
	return nil
}

// queueCompletions passes completions to complete.
func (s *session) queueCompletions(made []completion) {
	for _, d := range made {
		s.completions <- d
	}
}

// continuation returns the route that reads the output, nil if the slot does not go on with it.
func (c *completion) continuation() *route {
	after := c.route.continuation.Load()
	if after == nil || after.blocked.Load() || after.stopped() || after.limited() || after.limiter.limited() || after.breaker.rests() || len(c.replace.Outs) != 1 || c.replace.Outs[0].Queue.Name != after.In {
		return nil
	}
	return after
}

// commitAndTakeNext commits, and takes the next entry of the route behind.
func (s *session) commitAndTakeNext(ctx context.Context, d completion, behind *route) *job {
	outcome, entries, err := s.client.CommitAndTakeNext(ctx, d.replace, s.id)
	if err != nil || outcome == broker.Superseded { // a lost reply may have taken an entry
		s.lookAgain(ctx, behind.In)
	}
	if err != nil {
		s.reportLost(ctx, []completion{d}, err)
		return nil
	}
	s.settle(ctx, []completion{d}, []broker.Outcome{outcome})
	if err := s.client.Fetch(ctx, &s.memory, entries); err != nil {
		s.log.DebugContext(ctx, "the frames of the next stage were not read; they are read again", "err", err)
		s.lookAgain(ctx, behind.In)
		return nil
	}
	for _, e := range entries {
		if s.entries.add(e.Ref) {
			behind.limiter.force() // it had no limit just now
			return s.newJob(behind, e)
		}
	}
	return nil
}

// complete commits the completions of the slots until their channel is closed. Those that arrive
// during one call go with the next. A result is safe when Complete has returned. complete repeats
// the completions that failed. If one still fails when the session ends, leave requeues its entry.
func (s *session) complete(ctx context.Context) {
	for {
		select {
		case first, ok := <-s.completions:
			if !ok {
				return
			}
			s.committing <- struct{}{}
			s.commit(ctx, s.waiting(first))
		case <-s.repeat:
			s.committing <- struct{}{}
			s.commit(ctx, s.takeFailed())
		}
		<-s.committing
	}
}

// waiting returns the first completion and those that wait already, for one call.
func (s *session) waiting(first completion) []completion {
	all := []completion{first}
	for len(all) < completeEntries {
		select {
		case d, ok := <-s.completions:
			if !ok {
				return all
			}
			all = append(all, d)
		default:
			return all
		}
	}
	return all
}

// commit completes entries in as few calls as the bounds allow.
func (s *session) commit(ctx context.Context, all []completion) {
	if ctx.Err() != nil { // a worker that was cut off commits once more
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
	}
	for len(all) > 0 {
		n := inOneCall(all)
		s.write(ctx, all[:n])
		all = all[n:]
	}
}

func (s *session) write(ctx context.Context, all []completion) {
	replace := make([]broker.Completion, 0, len(all))
	which := make([]completion, 0, len(all))
	for _, d := range all {
		if err := s.resolve(ctx, d.resolved); err != nil {
			s.reportLost(ctx, []completion{d}, err)
			continue
		}
		replace, which = append(replace, d.replace), append(which, d)
	}
	if len(replace) == 0 {
		return
	}
	outcomes, err := s.client.Complete(ctx, replace)
	if err != nil {
		s.reportLost(ctx, which, err)
		return
	}
	s.settle(ctx, which, outcomes)
}

// settle acts on the outcomes of completions.
func (s *session) settle(ctx context.Context, all []completion, outcomes []broker.Outcome) {
	var back []completion
	for i, outcome := range outcomes {
		if d, again := s.outcome(ctx, all[i], outcome); again {
			back = append(back, d)
		}
	}
	s.endJobs(all)
	if len(back) > 0 {
		broker.Pause(ctx, 50*time.Millisecond) // the defect of an out-queue lasts for a while
		s.commit(ctx, back)
	}
}

// endJobs ends the count of the jobs that counted until their commit, and wakes the fetcher.
func (s *session) endJobs(all []completion) {
	for i := range all {
		if !all[i].endsJob {
			continue
		}
		s.endJob(all[i].route)
		select {
		case s.freed <- struct{}{}:
		default:
		}
	}
}

func (s *session) resolve(ctx context.Context, all []broker.Resolved) error {
	for _, r := range all {
		if err := s.client.Resolve(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// outcome acts on the outcome of one entry. again reports that the entry has to be requeued by the
// completion back.
func (s *session) outcome(ctx context.Context, d completion, outcome broker.Outcome) (back completion, again bool) {
	e := d.replace.Entry
	switch outcome {
	case broker.Committed:
		s.committed(ctx, d.replace)
		s.tellOfSuccess(ctx, d)
	case broker.Superseded:
		s.log.DebugContext(ctx, "another worker has finished the batch first", "queue", e.Queue, "source", e.Source, "first", e.First)
		d.supersede()
	case broker.InputGone:
		s.log.DebugContext(ctx, "the queue of a batch was deleted while the batch ran", "queue", e.Queue)
		d.route.gone.Store(true)
		s.recheck.Store(true)
	default:
		if len(d.replace.Outs) == 0 && len(d.replace.Bypassed) == 0 && d.replace.Dead == nil { // the requeue failed as well
			s.repeatLater(ctx, []completion{d}, fmt.Errorf("requeue the batch from offset %d of source %s of queue %s: %s", e.First, e.Source, e.Queue, outcome))
			return completion{}, false
		}
		level := slog.LevelWarn
		if outcome == broker.OutputGone { // a flow that is aborted deletes its queues during the work
			level = slog.LevelInfo
		}
		s.log.Log(ctx, level, "a batch could not be completed; it is requeued", "queue", e.Queue, "outcome", string(outcome))
		back = requeue(d.route, e, e.Batch)
		back.failed = d.failed
		return back, true
	}
	for _, frame := range d.spent {
		s.memory.Put(frame)
	}
	if d.failed && d.route.failing.Add(-1) == completeEntries-1 { // the route may be read again
		s.wake(ctx, e.Queue)
	}
	s.entries.remove(e.Ref)
	if e.Kind == broker.Suspect { // no reader blocks on that stream; this worker may take the next entry
		s.wake(ctx, e.Queue)
	}
	return completion{}, false
}

// lookAgain makes the fetcher read the stages and the held entries again at once.
func (s *session) lookAgain(ctx context.Context, queue string) {
	s.recheck.Store(true)
	s.wake(ctx, queue)
}

// wake ends the blocked read of the fetcher.
func (s *session) wake(ctx context.Context, queue string) {
	if err := s.client.SendHint(ctx, s.id, broker.Hint{Kind: broker.HintRoom, What: queue}); err != nil {
		s.log.DebugContext(ctx, "the hint that ends the blocked read was not sent", "err", err)
	}
}

// committed acts on a completion that Redis has stored.
func (s *session) committed(ctx context.Context, d broker.Completion) {
	for _, rest := range d.Remainders {
		if rest.Delay > 0 {
			s.retries.in(rest.Delay)
		}
	}
	if d.Dead != nil {
		s.log.WarnContext(ctx, "an entry is a dead letter", "queue", d.Entry.Queue, "source", d.Entry.Source,
			"first", d.Entry.First, "why", d.Dead.Message)
	}
}

// reportLost acts on completions that could not be stored.
func (s *session) reportLost(ctx context.Context, all []completion, err error) {
	s.endJobs(all)
	if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		s.log.InfoContext(ctx, "the worker ended before its results were written; other workers run the items again",
			"batches", len(all), "err", err)
		return
	}
	s.repeatLater(ctx, all, err)
}

// repeatLater makes complete repeat completions, at most repeatPause later, with all others that have
// failed. Their jobs end all the same. The caller has the token of committing.
func (s *session) repeatLater(ctx context.Context, all []completion, err error) {
	level, waits := slog.LevelDebug, len(s.failed) > 0
	for _, d := range all {
		if !d.failed && d.route.failing.Add(1) == 1 { // further ones of the route are not news
			level = slog.LevelError
		}
		d.endsJob, d.failed = false, true
		s.failed = append(s.failed, d)
	}
	s.log.Log(ctx, level, "results could not be written; the worker tries again until it ends", "batches", len(all), "err", err)
	if waits { // the time of the others is the time of these too
		return
	}
	time.AfterFunc(repeatPause, func() {
		select {
		case s.repeat <- struct{}{}:
		default:
		}
	})
}

// takeFailed returns the completions to repeat. The caller has the token of committing.
func (s *session) takeFailed() []completion {
	all := s.failed
	s.failed = nil
	return all
}
