package worker

import (
	"context"
	"sync"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// maxCrashes is how many workers may die with an item before it is taken for
// the cause.
const maxCrashes = 5

// A completion is the outcome of a job in a slot.
type completion struct {
	route    *route
	resolved []broker.Resolved // results that are futures: set before
	replace  broker.Completion // outputs and remainders in place of the entry
	cured    bool              // the entry is a retry, and all its items succeeded
	spent    [][]byte          // frames that are free once it is written
}

// requeue is an entry that was not worked on.
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

// A slot works on one job after the other.
type slot struct {
	*session
	group  *sync.WaitGroup // that waits for it
	idle   map[*runner.Function][]runner.Runner
	now    runningCall      // the call of a function
	job    *job             // that it works on
	made   []completion     // of the last one
	called *runner.Function // the last one
	route  *route           // whose function it was
	late   int64            // tick of the clock when it has worked for a time slice
}

// run works until work is closed. A function that ends its goroutine ends this
// one: the next one begins the job anew and is not exposed to that.
func (h *slot) run(ctx context.Context) {
	closed, own := false, h.now.open(ctx)
	defer func() {
		h.now.close()
		if !closed {
			h.called.Exits.Store(true)
			h.group.Go(func() { h.run(ctx) })
		}
	}()
	for h.job != nil || h.next() {
		if own.Err() != nil && ctx.Err() == nil { // a stage has ended
			own = h.now.open(ctx)
		}
		h.made = h.process(own, *h.job)
		h.held.Add(-1)
		h.job.route.held.Add(-1)
		h.job = nil
		h.worker.partitions.end()
		if h.job = h.finish(ctx, h.made); h.job != nil {
			h.worker.partitions.begin()
		}
		clear(h.made)
		h.made = h.made[:0]
	}
	closed = true
}

// next waits for a job.
func (h *slot) next() bool {
	j, ok := <-h.work
	if ok {
		h.worker.partitions.begin()
		h.job = &j
	}
	return ok
}

// shouldYield tells after each item whether to shouldYield off.
func (h *slot) shouldYield() bool {
	ticks := h.clock.ticks.Load()
	return ticks >= h.late && ticks >= h.late+h.longer() || h.stopping.Load() || h.route.ended.Load()
}

// longer is how many ticks the slot may work beyond a time slice.
func (h *slot) longer() int64 { return int64(h.job.route.timeSlices()-1) * 2 }

func (h *slot) do(ctx context.Context, j job) completion {
	r, e := j.route, j.entry
	switch {
	case h.stopping.Load(), r.ended.Load():
		return requeue(r, e, e.Batch)
	case e.Source == "" || e.CheckRange() != nil:
		return unreadable(j, errNoBatch)
	case r.stage.Kind == broker.KindCopy:
		r.stock(0, e.N, len(e.Frame), h.concurrency)
		return copied(j)
	case e.Lost != nil && r.stage.Kind == broker.KindMap:
		return copied(j)
	case e.Crashes >= broker.Suspicious && e.N > 1:
		return divided(j, 1) // only one of its items may be the cause
	case e.Crashes >= maxCrashes:
		return h.poison(j)
	}
	if share := r.share(e.N); share < e.N {
		return divided(j, share)
	}
	if 0 < j.leaf && j.leaf < e.N {
		return divided(j, j.leaf)
	}
	all, err := h.steps(ctx, j)
	defer h.release(all)
	if err != nil {
		return unreadable(j, err)
	}
	h.learn(j, all)
	var made [1]completion
	if err := product(r, []broker.Entry{e}, all, &h.memory, made[:]); err != nil { // cannot be: the runner has read it
		return unreadable(j, err)
	}
	made[0].cured = e.Failed != "" && all[0].N == e.N && all[0].Failed == 0 && all[0].Again == nil
	return made[0]
}

// call runs one stage on a batch, for a time slice.
func (h *slot) call(ctx context.Context, r *route, b batch.Batch, from runner.Held, attempts int) (s step) {
	h.called, h.route, h.late = r.function, r, h.clock.begin()
	s = step{route: r, runner: h.runner(r.function)}
	if h.pauses(r) || !r.breaker.begin() {
		return s
	}
	defer func() {
		if rest := r.breaker.end(s.N, s.Failed+len(s.Again)); rest > 0 {
			h.worker.restUntilRetry(rest)
		}
	}()
	defer h.returned()
	if !h.now.begin(r, b, attempts+1) {
		return s
	}
	leave := h.shouldYield
	if r.whole() { // the batch function behind would get what was done in a time slice
		leave = h.stopping.Load
	}
	if h.probe != nil {
		own := leave
		leave = func() bool { h.probe.Ran(1); return ctx.Err() != nil || own() }
	}
	c := runner.Call{
		Batch: b, Held: from, Hold: r.next.Load() != nil, Worker: h.id, Stage: r.stage.ID, Timeout: r.stage.Timeout,
		Attempt: attempts + 1, Retries: r.stage.Retries, ShouldYield: leave, Exposed: !r.function.Exits.Load(), Memory: &h.memory,
		Unavailable: func(i int, why string) bool { return h.unavailable(r, b, i, why) },
		Stuck:       h.stuck,
		Left:        &r.breaker.left,
		Progress:    &h.now, Single: r.stage.Kind == broker.KindFuture,
	}
	s.Result = s.runner.Run(ctx, c)
	if h.probe != nil && r.function.Whole {
		h.probe.Ran(s.N)
	}
	return s
}

// returned notes that a function runs no more.
func (h *slot) returned() {
	if call, late := h.now.done(); late {
		h.log.Warn("a function has returned long after its context had ended", call.attrs()...)
	}
}

// runner takes one that is idle, or makes one: a function may be there twice among
// stages that are run one after the other.
func (h *slot) runner(f *runner.Function) runner.Runner {
	idle := h.idle[f]
	if len(idle) == 0 {
		return f.New()
	}
	h.idle[f] = idle[:len(idle)-1]
	return idle[len(idle)-1]
}

// release lets go of what the steps have made.
func (h *slot) release(all []step) {
	for _, s := range all {
		s.runner.Release()
		h.idle[s.route.function] = append(h.idle[s.route.function], s.runner)
	}
}

// copied adds a batch to every out-queue.
func copied(j job) completion {
	d := requeue(j.route, j.entry)
	for _, out := range j.route.stage.Outs {
		b := j.entry.Batch
		b.Source += out.Branch
		d.replace.Outs = append(d.replace.Outs, broker.Output{Queue: out.Queue, Batch: b})
	}
	return d
}

// futures takes results apart, a frame for each.
func futures(s broker.Stage, out batch.Batch) broker.Resolved {
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
