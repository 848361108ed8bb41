package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/probe"
)

// closing limits the time of a worker at its end, for example to write completions.
const closing = 2 * time.Second

// A session is one membership of a worker in a partition, from joining to leaving or being fenced.
// The id of a session is never used again.
type session struct {
	worker *Worker
	client *broker.Client // of the partition
	log    *slog.Logger
	lease  time.Duration
	id     string
	reader *broker.Reader // of the fetcher
	memory batch.Memory   // for frames
	probe  *probe.Probe   // set by a test; nil otherwise

	answered atomic.Int64 // when Redis last answered a heartbeat or the joining, in ns since started of the worker

	slots       slotSet
	work        chan job        // from the fetcher to the slots; the fetcher closes it
	start       func(*slot)     // starts a slot that was added
	completions chan completion // from the slots to the completer; closed when all slots have ended
	committing  chan struct{}   // has a token while a goroutine commits
	failed      []completion    // to repeat; guarded by the token of committing
	repeat      chan struct{}   // rung when it is time to repeat them
	freed       chan struct{}   // rung when a slot is free
	clock       sliceClock
	retries     *alarm // when delayed entries are due

	entries   heldEntries
	reporter  reporter
	jobs      atomic.Int64 // sum of those of the routes
	leavesOut atomic.Bool  // the blocked read leaves out a route whose function has no permit
	beats     atomic.Int64 // heartbeats
	stopping  atomic.Bool
	atRings   atomic.Bool // the fetcher waits for rings, see ringMode
	recheck   atomic.Bool // the fetcher has to look at the stages and the held entries again

	versions map[versionNote]bool // of other workers that were logged; the fetcher uses it, and compareVersions before

	// Set when the fetcher has ended:
	queues []string // of its routes
	unsure []string // those of which this worker may hold entries that it does not know of
}

func (w *Worker) newSession(part *broker.Client) *session {
	concurrency := int(w.concurrency.Load())
	buffered := (3 + maxAhead) * concurrency
	s := &session{
		worker: w, client: part, log: w.Connection.Log, lease: w.Connection.Lease, id: uuid.NewString(),
		work: make(chan job, buffered), completions: make(chan completion, buffered),
		committing: make(chan struct{}, 1), repeat: make(chan struct{}, 1), freed: make(chan struct{}, 1), retries: newAlarm(),
		entries: heldEntries{held: map[broker.Ref]bool{}}, versions: map[versionNote]bool{},
	}
	for range concurrency {
		s.newSlot()
	}
	s.clock.look = s.lookForHung
	return s
}

// runSession works in a partition until ctx ends: nil, or until the worker is fenced: broker.ErrFenced.
func (w *Worker) runSession(ctx context.Context, part *broker.Client) error {
	s := w.newSession(part)
	soft, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	hard, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	if s.probe = probe.From(ctx); s.probe != nil {
		defer s.probe.Dying(func() { stop(errKilled); cut(errKilled) })()
	}
	// The mailbox has to exist before the first read of the stages.
	if err := part.Join(ctx, broker.RoleWorker, s.id, w.card()); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.hasAnswered()
	if part.Index() == 0 {
		s.compareVersions(ctx)
	}
	beating := part.Lease(broker.RoleWorker, s.id, s.lease)
	s.reader = beating.SharedReader(part.Patience(maxRest), w.mailboxes)
	w.partitions.enter(s)
	defer w.partitions.exit(s)
	s.log.InfoContext(ctx, "worker started", "worker", s.id, "redis", part.String(), "partition", part.Index(), "concurrency", s.concurrency())

	beats, stopBeats := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeats()
	var lease errgroup.Group
	lease.Go(func() error {
		defer beating.Close()
		err := s.beat(beats, beating)
		if err != nil { // fenced: other workers have its entries
			stop(err)
			cut(err)
		}
		return err
	})
	working, stopWorking := context.WithCancel(beats)
	defer stopWorking()
	var attendance errgroup.Group
	attendance.Go(func() error { s.atEachBeat(working); return nil })
	if w.Feed != nil {
		attendance.Go(func() error { s.feed(working); return nil })
	}
	err := s.runRoles(soft, hard, stop, cut)
	stopWorking()
	_ = attendance.Wait()
	s.leave(ctx)
	stopBeats()
	return errors.Join(err, lease.Wait())
}

// runRoles runs the goroutines of the session until soft ends, which it ends itself if the worker
// may not read. They end in this order: the fetcher closes work, the slots end, completions is
// closed, the completer commits the rest.
func (s *session) runRoles(soft, hard context.Context, stop, cut context.CancelCauseFunc) error {
	var group errgroup.Group
	var slots sync.WaitGroup
	s.start = func(h *slot) {
		h.group = &slots
		slots.Add(1)
		go h.run(hard) // its end is that of the slot, which may have several goroutines in turn
	}
	for _, h := range s.slots.list() {
		s.start(h)
	}
	group.Go(func() error {
		defer close(s.work)
		err := s.fetch(soft)
		s.stopping.Store(true)
		if err != nil {
			stop(err)
		}
		return err
	})
	defer context.AfterFunc(hard, func() { s.cutOff(context.Cause(hard)) })()
	group.Go(func() error {
		defer close(s.completions)
		slots.Wait()
		s.clock.stop()
		return nil
	})
	group.Go(func() error { s.complete(hard); return nil })
	group.Go(func() error { s.requeueDue(soft); return nil })
	drained := make(chan struct{})
	var watch errgroup.Group
	watch.Go(func() error {
		select {
		case <-soft.Done():
		case <-drained:
		}
		if hard.Err() != nil || s.awaitDrain(hard, drained) {
			return nil
		}
		cut(fmt.Errorf("the worker stops, and %v for draining have passed", s.worker.Drain))
		return nil
	})
	err := group.Wait()
	close(drained)
	_ = watch.Wait()
	return err
}

// beat renews the lease until ctx ends. It returns broker.ErrFenced if the worker was fenced, and
// no other error.
func (s *session) beat(ctx context.Context, lease *broker.Lease) error {
	counts := &s.worker.counts
	shown := broker.CardFields{}
	for lease.Wait(ctx) {
		card := shown.Add(nil, "done", strconv.FormatInt(counts.done.Load(), 10))
		card = shown.Add(card, "failed", strconv.FormatInt(counts.failed.Load(), 10))
		card = shown.Add(card, "stuck", strconv.FormatInt(counts.left.Load(), 10))
		card = shown.Add(card, "busy", strconv.FormatInt(time.Duration(s.reporter.busy.Load()).Milliseconds(), 10))
		card = shown.Add(card, "draining", s.worker.drainMark())
		card = shown.Add(card, "now", s.runningItems(time.Now()))
		if s.reporter.denied.Load() {
			card = shown.Add(card, "muted", "1")
		}
		pulse, err := lease.Beat(ctx, card...)
		if err == nil {
			s.hasAnswered()
			s.beats.Add(1)
			s.reporter.fleet.Store(int64(pulse.Workers))
		} else {
			clear(shown)
		}
		if pulse.Overdue > overdue {
			s.retries.in(0)
		}
		if errors.Is(err, broker.ErrFenced) {
			return err
		}
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "heartbeat", "err", err)
		}
	}
	return nil
}

// feed calls Feed, until ctx ends, in each interval of heartbeats in which one succeeded or an attempt
// of a call failed: neither happens in a process that hangs.
func (s *session) feed(ctx context.Context) {
	tick := time.NewTicker(s.lease / broker.Beats)
	defer tick.Stop()
	last := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if signs := s.beats.Load() + s.client.FailedAttempts(); signs != last {
			last = signs
			s.worker.Feed()
		}
	}
}

// leave requeues the entries that this worker still holds and takes it out of the registry. It removes the
// worker's name from the streams of its stages if half of closing is enough for that, since
// many workers may leave at once; otherwise the watcher does so later.
func (s *session) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	err := s.client.GiveBack(ctx, s.id, s.holding()...)
	if err == nil {
		s.reportRest(ctx)
		some, cancel := context.WithTimeout(ctx, closing/2)
		named := s.client.GiveBack(some, s.id, s.queues...)
		cancel()
		if named == nil {
			err = s.client.Leave(ctx, broker.RoleWorker, s.id)
		} else {
			err = s.client.LeaveName(ctx, s.id)
		}
	}
	s.logWork(ctx, time.Now(), 0)
	if err != nil {
		s.log.WarnContext(ctx, "the worker could not leave; its lease will run out", "worker", s.id, "err", err)
	}
}

// holding returns the queues of which this worker may hold entries. It is called when the slots and
// the fetcher have ended.
func (s *session) holding() []string {
	queues := slices.Clone(s.unsure)
	if s.recheck.Load() { // a slot lost a reply after the fetcher had ended
		queues = slices.Clone(s.queues)
	}
	return s.entries.addQueues(queues)
}
