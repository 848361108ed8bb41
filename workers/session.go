package workers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/probe"
)

// closing is how long a worker may take at its end to write completions.
const closing = 2 * time.Second

// A session is one membership of a worker, from joining to leaving or being
// fenced off, in a partition. Names of consumers are never used twice, so that
// each has its own.
type session struct {
	*Worker
	client *broker.Client // of the partition

	id          string
	work        chan job        // the fetcher to slots; closed by the fetcher
	completions chan completion // slots to completer; closed when all slots have ended
	turn        chan struct{}   // the token of the goroutine that completes now
	freed       chan struct{}   // a slot is free
	clock       sliceClock      // of the slots

	memory batch.Memory // of frames that were read or made

	slots  []*slot // the slots
	retry  *alarm  // when delayed entries are due
	reader *broker.Reader

	suspects atomic.Int64 // entries held that several workers died with
	held     atomic.Int64 // jobs that hands have or that wait for one
	stopping atomic.Bool
	look     atomic.Bool // at the stages and at what is held: a route is gone, or what was taken did not reach a slot

	probe   *probe.Probe    // of a test, nil for all others
	foreign map[string]bool // stages of other types that were logged; the fetcher only
	// versions are those of other workers that this one has been told of; the fetcher only.
	versions map[versionNote]bool
	read     []string // queues of the last routes; set when the fetcher ends,
	unsure   []string // and those of them of which this worker may hold entries that are not in ids

	mu     sync.Mutex
	ids    map[broker.Ref]bool // entries taken and not yet replaced
	recall map[broker.Ref]bool // while the fetcher asks what is held: all that was held since it began to ask
}

func (w *Worker) runSession(ctx context.Context, part *broker.Client) error {
	l := &session{
		Worker: w, client: part, id: uuid.NewString(), ids: map[broker.Ref]bool{}, foreign: map[string]bool{}, versions: map[versionNote]bool{},
		work: make(chan job, (3+maxAhead)*w.concurrency), completions: make(chan completion, (3+maxAhead)*w.concurrency), turn: make(chan struct{}, 1), freed: make(chan struct{}, 1), retry: newAlarm(),
	}
	for range w.concurrency {
		l.slots = append(l.slots, &slot{session: l, idle: map[*function][]runner{}, now: runningCall{epoch: time.Now()}})
	}
	l.clock.look = l.lookForHung
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hard, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	if l.probe = probe.From(ctx); l.probe != nil {
		defer l.probe.Dying(func() { stop(errKilled); cut(errKilled) })()
	}
	// The mailbox comes before the first look at the stages.
	if err := part.Join(ctx, broker.RoleWorker, l.id, w.card()); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if part.Index() == 0 {
		l.compareVersions(ctx)
	}
	beating := part.Lease(broker.RoleWorker, l.id, l.lease)
	l.reader = beating.Reader(part.Patience(readWait))
	w.enter(l)
	defer w.exit(l)
	w.log.InfoContext(ctx, "worker started", "id", l.id, "redis", part.String(), "partition", part.Index(), "concurrency", w.concurrency)

	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeats()
	var lease errgroup.Group
	lease.Go(func() error {
		defer beating.Close()
		err := l.beat(beats, beating)
		if err != nil { // fenced off: what it does is no longer wanted
			stop(err)
			cut(err)
		}
		return err
	})
	lease.Go(func() error { l.cancelStale(beats); return nil })
	err := l.runRoles(soft, hard, stop, cut)
	l.leave(ctx)
	stopBeats()
	return errors.Join(err, lease.Wait())
}

// runRoles runs until soft has ended, which it does itself if the worker may not
// read. Each line of its end waits for the one
// before: the fetcher closes work, then the slots end, then done is closed, then
// the completer writes what is left.
func (l *session) runRoles(soft, hard context.Context, stop, cut context.CancelCauseFunc) error {
	var group errgroup.Group
	var slots sync.WaitGroup
	group.Go(func() error {
		defer close(l.work)
		err := l.fetch(soft)
		l.stopping.Store(true)
		if err != nil {
			stop(err)
		}
		return err
	})
	for _, h := range l.slots {
		h.group = &slots
		slots.Go(func() { h.run(hard) })
	}
	defer context.AfterFunc(hard, func() { l.cutOff(context.Cause(hard)) })()
	group.Go(func() error {
		defer close(l.completions)
		slots.Wait()
		l.clock.stop()
		return nil
	})
	group.Go(func() error { l.complete(hard); return nil })
	group.Go(func() error { l.requeueDue(soft); return nil })
	drained := make(chan struct{})
	var watch errgroup.Group
	watch.Go(func() error {
		select {
		case <-soft.Done():
		case <-drained:
		}
		timer := time.NewTimer(l.drain)
		defer timer.Stop()
		select {
		case <-timer.C:
			cut(fmt.Errorf("the worker stops, and %v for draining have passed", l.drain))
		case <-drained:
		}
		return nil
	})
	err := group.Wait()
	close(drained)
	_ = watch.Wait()
	return err
}

// beat renews the lease until ctx ends. It returns an error only when the
// worker was fenced off.
func (l *session) beat(ctx context.Context, lease *broker.Lease) error {
	for lease.Wait(ctx) {
		pulse, err := lease.Beat(ctx, "done", l.ok.Load(), "failed", l.failed.Load(), "stuck", l.left.Load())
		if pulse.Overdue > overdue {
			l.retry.in(0)
		}
		if errors.Is(err, broker.ErrFenced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "heartbeat", "err", err)
		}
	}
	return nil
}

// leave requeues the entries that this worker still holds and takes it out of the registry. It removes the
// worker's name from the streams of its stages if half of closing is enough for that, since
// many workers may leave at once; otherwise the watcher does so later.
func (l *session) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	err := l.client.GiveBack(ctx, l.id, l.holding()...)
	if err == nil {
		some, cancel := context.WithTimeout(ctx, closing/2)
		named := l.client.GiveBack(some, l.id, l.read...)
		cancel()
		if named == nil {
			err = l.client.Leave(ctx, broker.RoleWorker, l.id)
		} else {
			err = l.client.LeaveName(ctx, l.id)
		}
	}
	if err != nil {
		l.log.WarnContext(ctx, "the worker could not leave; its lease will run out", "id", l.id, "err", err)
	}
}

// holding returns the queues of which this worker may hold entries, when the slots and the fetcher
// have ended.
func (l *session) holding() []string {
	queues := slices.Clone(l.unsure)
	if l.look.Load() { // a slot lost a reply after the fetcher had ended
		queues = slices.Clone(l.read)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for held := range l.ids {
		if !slices.Contains(queues, held.Queue) {
			queues = append(queues, held.Queue)
		}
	}
	return queues
}

// hold notes an entry as held, unless it is, or was while the fetcher asked.
func (l *session) hold(id broker.Ref) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids[id] || l.recall[id] {
		return false
	}
	l.ids[id] = true
	if l.recall != nil {
		l.recall[id] = true
	}
	if id.Kind == broker.Suspect {
		l.suspects.Add(1)
	}
	return true
}

// remember lets take refuse, until forget, also what is done meanwhile: what Redis
// answers may be older.
func (l *session) remember() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recall = maps.Clone(l.ids)
}

func (l *session) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recall = nil
}

// remembered reports whether an entry was held since remember.
func (l *session) remembered(e broker.Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recall[e.Ref]
}

func (l *session) drop(id broker.Ref) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids[id] && id.Kind == broker.Suspect {
		l.suspects.Add(-1)
	}
	delete(l.ids, id)
}
