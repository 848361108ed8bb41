package workers

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// One call that completes entries is bounded by these, but for an entry that is more by itself. A
// part is a batch that is added or put back; with 256 of them Redis is busy for about a
// millisecond.
const (
	completeEntries = 64
	completeParts   = 256
	completeBytes   = 4 << 20
)

// size is how many parts and bytes a completion has.
func (d *completion) size() (parts, bytes int) {
	for _, out := range d.replace.Outs {
		bytes += len(out.Frame)
	}
	for _, rest := range d.replace.Remainders {
		bytes += len(rest.Frame)
	}
	return len(d.replace.Outs) + len(d.replace.Bypassed) + len(d.replace.Remainders), bytes
}

// portion is how many of the first completions go into one call.
func portion(all []completion) int {
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

// finish has written what a slot has done: by itself where nobody else works or writes
// and another slot could take what comes meanwhile, else by complete. By itself it may
// also take what comes out for the stage behind, with which the slot goes on.
func (l *session) finish(ctx context.Context, made []completion) (next *job) {
	if l.concurrency == 1 || l.held.Load() > 0 || len(l.completions) > 0 {
		l.queueCompletions(made)
		return nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	default:
		l.queueCompletions(made)
		return nil
	}
	if len(made) == 1 {
		if after := made[0].after(); after != nil && ctx.Err() == nil && !l.stopping.Load() {
			return l.commitAndTakeNext(ctx, made[0], after)
		}
	}
	l.commit(ctx, made)
	return nil
}

// queueCompletions gives completions to complete.
func (l *session) queueCompletions(made []completion) {
	for _, d := range made {
		l.completions <- d
	}
}

// after is the route that reads what has become of the entry, nil where nobody goes on.
func (d *completion) after() *route {
	after := d.route.after.Load()
	if after == nil || after.shut.Load() || after.ended.Load() || after.breaker.rests() || len(d.replace.Outs) != 1 || d.replace.Outs[0].Queue.Name != after.In {
		return nil
	}
	return after
}

// commitAndTakeNext commits, and takes the next entry of the route behind.
func (l *session) commitAndTakeNext(ctx context.Context, d completion, behind *route) *job {
	outcome, entries, err := l.client.CommitAndTakeNext(ctx, d.replace, l.id)
	if err != nil || outcome == broker.Superseded { // by itself, where a reply was lost and with it what was taken
		l.lookAgain(ctx, behind.In)
	}
	if err != nil {
		l.lost(ctx, []completion{d}, err)
		return nil
	}
	l.follow(ctx, []completion{d}, []broker.Outcome{outcome})
	if err := l.client.Fetch(ctx, &l.memory, entries); err != nil {
		l.log.DebugContext(ctx, "go on with the stage behind", "err", err)
		l.lookAgain(ctx, behind.In)
		return nil
	}
	for _, e := range entries {
		if l.hold(e.Ref) {
			return l.job(behind, e)
		}
	}
	return nil
}

// complete writes the completions of the slots until their channel is closed: those that arrive
// during one call go with the next. A result is safe when Complete returned;
// an entry whose completion could not be written stays with the consumer and is given back.
func (l *session) complete(ctx context.Context) {
	for first := range l.completions {
		l.turn <- struct{}{}
		l.commit(ctx, l.ready(first))
		<-l.turn
	}
}

// ready returns the completions of one call: the first one and those that are there already.
func (l *session) ready(first completion) []completion {
	all := []completion{first}
	for len(all) < completeEntries {
		select {
		case d, ok := <-l.completions:
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

// commit completes entries, in as few calls as are not too large.
func (l *session) commit(ctx context.Context, all []completion) {
	if ctx.Err() != nil { // the last words of a worker that was stopped hard
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
	}
	for len(all) > 0 {
		n := portion(all)
		l.write(ctx, all[:n])
		all = all[n:]
	}
}

func (l *session) write(ctx context.Context, all []completion) {
	replace := make([]broker.Completion, 0, len(all))
	which := make([]completion, 0, len(all))
	for _, d := range all {
		if err := l.resolve(ctx, d.resolved); err != nil {
			l.lost(ctx, []completion{d}, err)
			continue
		}
		replace, which = append(replace, d.replace), append(which, d)
	}
	if len(replace) == 0 {
		return
	}
	outcomes, err := l.client.Complete(ctx, replace)
	if err != nil {
		l.lost(ctx, which, err)
		return
	}
	l.follow(ctx, which, outcomes)
}

// follow acts on the outcomes.
func (l *session) follow(ctx context.Context, all []completion, outcomes []broker.Outcome) {
	var back []completion
	for i, outcome := range outcomes {
		if d, again := l.outcome(ctx, all[i], outcome); again {
			back = append(back, d)
		}
	}
	if len(back) > 0 {
		pause(ctx, 50*time.Millisecond) // what is wrong with an out-queue takes its time
		l.commit(ctx, back)
	}
}

func (l *session) resolve(ctx context.Context, all []broker.Resolved) error {
	for _, r := range all {
		if err := l.client.Resolve(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// outcome acts on the outcome of one entry; again: the entry is put back.
func (l *session) outcome(ctx context.Context, d completion, outcome broker.Outcome) (back completion, again bool) {
	e := d.replace.Entry
	switch outcome {
	case broker.Committed:
		l.committed(ctx, d.replace)
		l.tellOfSuccess(ctx, d)
	case broker.Superseded:
		l.log.DebugContext(ctx, "somebody else finished a batch first", "queue", e.Queue, "source", e.Source, "first", e.First)
	case broker.InputGone:
		l.log.DebugContext(ctx, "a queue was deleted with work in hand", "queue", e.Queue)
		d.route.gone.Store(true)
		l.look.Store(true)
	default:
		if len(d.replace.Outs) == 0 && d.replace.Dead == nil { // putting back failed as well
			l.log.ErrorContext(ctx, "a batch could neither be completed nor put back; it stays with this worker until it ends",
				"queue", e.Queue, "source", e.Source, "first", e.First, "outcome", string(outcome))
			return completion{}, false
		}
		level := slog.LevelWarn
		if outcome == broker.OutputGone { // who gives a flow up deletes its queues while work is under way
			level = slog.LevelInfo
		}
		l.log.Log(ctx, level, "a batch could not be completed and goes back", "queue", e.Queue, "outcome", string(outcome))
		return requeue(d.route, e, e.Batch), true
	}
	for _, frame := range d.spent {
		l.memory.Put(frame)
	}
	l.drop(e.Ref)
	if e.Kind == broker.Suspect { // nobody waits on that stream: this worker may take the next one
		l.wake(ctx, e.Queue)
	}
	return completion{}, false
}

// lookAgain lets the fetcher look at once at the stages and at what is held.
func (l *session) lookAgain(ctx context.Context, queue string) {
	l.look.Store(true)
	l.wake(ctx, queue)
}

// wake ends the read that waits.
func (l *session) wake(ctx context.Context, queue string) {
	if err := l.client.SendHint(ctx, l.id, broker.Hint{Kind: broker.HintRoom, What: queue}); err != nil {
		l.log.DebugContext(ctx, "tell myself", "err", err)
	}
}

// committed acts on a completion that is in Redis.
func (l *session) committed(ctx context.Context, d broker.Completion) {
	for _, rest := range d.Remainders {
		if rest.Delay > 0 {
			l.retry.in(rest.Delay)
		}
	}
	if d.Dead != nil {
		l.log.WarnContext(ctx, "an entry is a dead letter", "queue", d.Entry.Queue, "source", d.Entry.Source,
			"first", d.Entry.First, "why", d.Dead.Message)
	}
}

func (l *session) lost(ctx context.Context, all []completion, err error) {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		l.log.InfoContext(ctx, "the worker ended before its results were written; other workers run the items again",
			"batches", len(all), "err", err)
		return
	}
	l.log.ErrorContext(ctx, "results could not be written", "batches", len(all), "err", err)
}
