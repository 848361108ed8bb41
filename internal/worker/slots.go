package worker

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// maxCrashes is the number of workers that may die with an item. After that it is a dead letter.
const maxCrashes = 5

// A completion is the outcome of a job in a slot.
type completion struct {
	route    *route
	resolved []broker.Resolved // results of futures, which are stored first
	replace  broker.Completion // outputs and remainders in place of the entry
	cured    bool              // the entry is a retry, and all its items succeeded
	spent    [][]byte          // frames to reuse after the commit
	endsJob  bool              // the last completion of a job that counts until it is committed
	failed   bool              // it was not stored at the first attempt
}

// requeue returns the completion of an entry that did not run.
func requeue(r *route, e broker.Entry, batches ...batch.Batch) completion {
	d := completion{route: r, replace: broker.Completion{Entry: e, In: r.stage.Ins[0], Remainders: remainders(e, batches)}}
	if e.Payload != "" && (r.function == nil || r.function.Copies) {
		d.spent = [][]byte{e.Frame}
	}
	return d
}

func remainders(e broker.Entry, batches []batch.Batch) []broker.Remainder {
	all := make([]broker.Remainder, len(batches))
	for i, b := range batches {
		all[i] = broker.Remainder{Batch: b, Attempts: e.Attempts}
	}
	return all
}

// A slot runs one job after another.
type slot struct {
	*session
	group  *sync.WaitGroup // of all slots
	idle   map[*runner.Function][]runner.Runner
	offers int64                        // of the worker, when idle was looked at last
	now    runningCall                  // current call
	job    *job                         // current job; nil: none
	parts  []batch.Batch                // of the current call, if they are not adjacent; nil: they are
	permit *limiter                     // of the job, until its first call has it; nil: none
	made   []completion                 // of the last job
	called *runner.Function             // last function
	route  *route                       // of the last function
	late   int64                        // tick of the clock at the end of the time slice
	traces string                       // of the current job
	code   string                       // of a failed attempt of the current call
	noted  func(i int, f batch.Failure) // is noteFailure, made once for all calls
}

// A slotSet has the slots of a session. It may grow.
type slotSet struct {
	mu  sync.Mutex
	all []*slot
}

func (t *slotSet) add(h *slot) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, h)
}

// list returns the slots. Later ones do not appear in it.
func (t *slotSet) list() []*slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all
}

// replace puts a slot into the place of another one, and returns it.
func (t *slotSet) replace(old, h *slot) *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = slices.Clone(t.all) // others read the earlier list
	t.all[slices.Index(t.all, old)] = h
	return h
}

// newSlot adds a slot. It does not run yet.
func (s *session) newSlot() *slot {
	h := s.makeSlot()
	s.slots.add(h)
	return h
}

func (s *session) makeSlot() *slot {
	h := &slot{session: s, idle: map[*runner.Function][]runner.Runner{}, now: runningCall{epoch: time.Now()}}
	h.noted = h.noteFailure
	return h
}

// concurrency returns the number of slots that may work at once.
func (s *session) concurrency() int { return int(s.worker.concurrency.Load()) }

// addSlots starts slots if the concurrency is above their number. Those above a lower concurrency
// stay, and wait.
func (f *fetcher) addSlots() {
	for n := len(f.slots.list()); n < f.concurrency(); n++ {
		f.start(f.newSlot())
	}
}

// run runs jobs until work is closed, or until its call, which was abandoned, returns. If a function
// ends this goroutine, another one runs the job again, and calls that function in a goroutine of its
// own.
func (s *slot) run(ctx context.Context) {
	closed, own := false, s.now.open(ctx)
	defer func() {
		s.now.close()
		switch {
		case s.now.isAbandoned():
			close(s.now.abandoned)
		case closed:
			s.group.Done()
		default:
			s.called.Exits.Store(true)
			go s.run(ctx) // in place of this goroutine
		}
	}()
	for s.job != nil || s.next() {
		if own.Err() != nil && ctx.Err() == nil { // a stage has ended
			own = s.now.open(ctx)
		}
		s.made = s.process(own, *s.job)
		s.endWork(s.job.route, s.made)
		s.endPermit(ctx)
		s.job = nil
		s.worker.partitions.end()
		if s.job = s.commitOrQueue(ctx, s.made); s.job != nil {
			s.worker.partitions.begin()
			s.permit = s.job.route.limiter
		}
		clear(s.made)
		s.made = s.made[:0]
	}
	closed = true
}

// endWork ends the count of a job, or lets its last completion end it.
func (s *session) endWork(r *route, made []completion) {
	if r.userBounded() {
		made[len(made)-1].endsJob = true
	} else {
		s.endJob(r)
	}
}

// next waits for a job.
func (s *slot) next() bool {
	j, ok := <-s.work
	if ok {
		s.worker.partitions.begin()
		s.job, s.permit = &j, j.route.limiter
	}
	return ok
}

// shouldYield reports, after each item, whether to stop here.
func (s *slot) shouldYield() bool {
	ticks := s.clock.ticks.Load()
	return ticks >= s.late && ticks >= s.late+s.longer() || s.stopping.Load() || s.route.stopped()
}

// longer returns the ticks that the slot may work beyond a time slice.
func (s *slot) longer() int64 { return int64(s.job.route.timeSlices()-1) * 2 }

func (s *slot) do(ctx context.Context, j job) completion {
	r, e := j.route, j.entry
	switch {
	case s.stopping.Load(), r.stopped():
		return requeue(r, e, e.Batch)
	case e.Source == "" || e.CheckRange() != nil:
		return malformed(j, errNoBatch)
	case r.stage.Kind == broker.KindCopy:
		r.stock(0, e.N, len(e.Frame), s.concurrency())
		r.passed(e.N, len(e.Frame))
		r.waited(s.client.Wait(e.Ref, j.since), e.N)
		return copyToAll(j)
	case e.Lost != nil && r.stage.Maps():
		r.passed(e.N, 0)
		return copyToAll(j)
	case e.Crashes >= broker.Suspicious && e.N > 1:
		return divide(j, 1) // one of its items may be the cause
	case e.LargestGroup() > j.groupLimit():
		return openGroups(j, j.groupLimit())
	case e.Crashes >= maxCrashes:
		return s.poison(j)
	}
	items, err := e.Items()
	if err != nil {
		return malformed(j, err)
	}
	if share := r.share(items); share < items && e.N > 1 {
		return divide(j, share)
	}
	if 0 < j.leaf && j.leaf < items && e.N > 1 {
		return divide(j, j.leaf)
	}
	s.traces = s.tracesOf(e)
	all, err := s.steps(ctx, j)
	defer s.release(all)
	if err != nil {
		return malformed(j, err)
	}
	if all[0].Large {
		return openGroups(j, 1)
	}
	s.learn(j, all)
	s.countTaken(ctx, j, all[0].Items)
	r.waited(s.client.Wait(e.Ref, j.since), all[0].Items)
	var made [1]completion
	if err := completionsOf(r, []broker.Entry{e}, all, &s.memory, made[:]); err != nil { // cannot happen: the runner has read the frame
		return malformed(j, err)
	}
	made[0].cured = e.Failed != "" && all[0].N == e.N && all[0].Failed == 0 && all[0].Again == nil
	return made[0]
}

// call runs one stage on a batch for a time slice.
func (s *slot) call(ctx context.Context, r *route, b batch.Batch, from runner.Held, attempts int) (done step) {
	s.called, s.route, s.late = r.function, r, s.clock.begin()
	done = step{route: r, runner: s.runner(r.function)}
	if s.pauses(r) || !s.admit(r) {
		return done
	}
	if !r.breaker.begin() {
		s.endCall(ctx, r.limiter)
		return done
	}
	defer s.returned(ctx, &done)
	if !s.now.begin(r, b, s.parts, attempts+1) {
		return done
	}
	leave := s.shouldYield
	if r.runsBatches() { // the next batch function should get the whole batch
		leave = s.stopping.Load
	}
	if s.probe != nil {
		own := leave
		leave = func() bool { s.probe.Ran(1); return ctx.Err() != nil || own() }
	}
	c := runner.Call{
		Batch: b, Held: from, Hold: r.fused.Load() != nil, Worker: s.id, Stage: r.stage.ID, Timeout: r.stage.Timeout,
		Queue: r.In, Handler: s.worker.handler,
		Attempt: attempts + 1, Retries: r.stage.Retries, ShouldYield: leave, Exposed: !r.function.Exits.Load(), Memory: &s.memory,
		Unavailable: func(i int, why string) bool { return s.unavailable(r, b, i, why) },
		Stuck:       s.stuck,
		Failed:      s.noted,
		Left:        &r.breaker.left,
		Progress:    &s.now, Single: r.stage.Reply != "",
	}
	done.Result = s.runInSpan(ctx, done.runner, c)
	_, done.canceled = errors.AsType[*runner.CanceledItems](context.Cause(ctx))
	if s.probe != nil && r.function.Whole {
		s.probe.Ran(done.Items)
	}
	return done
}

// noteFailure counts a failed attempt of the i-th item of the current call. That of an abandoned call
// is counted already.
func (s *slot) noteFailure(i int, f batch.Failure) {
	if s.now.isAbandoned() {
		return
	}
	s.code = f.Code
	source, offset := s.now.origin(s.now.first + int64(i))
	s.route.failed(failedAttempt{f, source, offset})
}

// returned ends the call of a step whose function has returned. An abandoned call has ended before.
func (s *slot) returned(ctx context.Context, done *step) {
	call, late, counted := s.now.done()
	s.endAbandoned()
	defer s.endCall(ctx, done.route.limiter)
	if done.counted = counted; late {
		s.log.Warn("a function has returned long after its context had ended", call.attrs()...)
	}
	if rest := done.route.breaker.end(done.Items, done.Failed+len(done.Again)); rest > 0 {
		s.worker.restUntilRetry(rest)
	}
}

// runner returns an idle Runner of a function, or a new one: a function may occur twice among fused
// stages.
func (s *slot) runner(f *runner.Function) runner.Runner {
	if offers := s.worker.offers.Load(); offers != s.offers {
		clear(s.idle) // some may be of functions that are gone
		s.offers = offers
	}
	idle := s.idle[f]
	if len(idle) == 0 {
		return f.New()
	}
	s.idle[f] = idle[:len(idle)-1]
	return idle[len(idle)-1]
}

// release drops the values of the steps and keeps their Runners.
func (s *slot) release(all []step) {
	for _, st := range all {
		st.runner.Release()
		s.idle[st.route.function] = append(s.idle[st.route.function], st.runner)
	}
}

// copyToAll adds a batch to every out-queue.
func copyToAll(j job) completion {
	d := requeue(j.route, j.entry)
	for _, out := range j.route.stage.Outs {
		b := j.entry.Batch
		b.Source += out.Branch
		d.replace.Outs = append(d.replace.Outs, broker.Output{Queue: out.Queue, Batch: b})
	}
	return d
}

// resolved divides results into one frame for each future.
func resolved(s broker.Stage, out batch.Batch) broker.Resolved {
	resolved := broker.Resolved{Source: out.Source, First: out.First, Reply: s.Reply, TTL: s.TTL}
	reader := batch.Read(out.Frame)
	for item, failed, ok := reader.Next(); ok; item, failed, ok = reader.Next() {
		var b batch.Builder
		if failed {
			b.EndFailure(append(b.Begin(), item...))
		} else {
			b.Value(item)
		}
		resolved.Results = append(resolved.Results, b.Take())
	}
	return resolved
}
