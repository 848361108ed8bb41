package workers

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// spell is how long a hand works on a batch before it gives the rest to
// others: a batch should be about as much work.
const spell = 10 * time.Millisecond

// maxCrashes is how many workers may die with an item before it is taken for
// the cause.
const maxCrashes = 5

// A done is what a hand made of a job.
type done struct {
	route    *route
	resolved []broker.Resolved // results that are futures: set before
	replace  broker.Done       // what replaces the entry
}

// putBack is an entry that was not worked on.
func putBack(r *route, e broker.Entry, batches ...batch.Batch) done {
	return done{route: r, replace: broker.Done{Entry: e, In: r.stage.Ins[0], Rests: rests(e, batches)}}
}

func rests(e broker.Entry, batches []batch.Batch) []broker.Rest {
	all := make([]broker.Rest, len(batches))
	for i, b := range batches {
		all[i] = broker.Rest{Batch: b, Attempts: e.Attempts}
	}
	return all
}

// hand works on one job after the other until work is closed.
func (l *life) hand(ctx context.Context) {
	runners := map[*function]runner{}
	var late atomic.Bool
	clock := time.AfterFunc(time.Hour, func() { late.Store(true) })
	defer clock.Stop()
	leave := func() bool { return late.Load() || l.stopping.Load() }
	for j := range l.work {
		l.begin()
		late.Store(false)
		clock.Reset(spell)
		d := l.do(ctx, j, runners, leave)
		l.held.Add(-1)
		j.route.held.Add(-1)
		l.done <- d
		l.end()
	}
}

func (l *life) do(ctx context.Context, j job, runners map[*function]runner, leave func() bool) done {
	r, e := j.route, j.entry
	switch {
	case l.stopping.Load():
		return putBack(r, e, e.Batch)
	case e.Source == "" || e.CheckRange() != nil:
		return unreadable(j, errNoBatch)
	case r.stage.Kind == broker.KindCopy:
		r.stock(0, e.N, len(e.Frame))
		return copied(j)
	case e.Lost != nil && r.stage.Kind == broker.KindMap:
		return copied(j)
	case e.Crashes >= broker.Suspicious && e.N > 1:
		return isolate(j)
	case e.Crashes >= maxCrashes:
		return l.poison(j)
	}
	return l.run(ctx, j, runners, leave)
}

func (l *life) run(ctx context.Context, j job, runners map[*function]runner, leave func() bool) done {
	r, f := j.route, j.route.function
	if runners[f] == nil {
		runners[f] = f.runner()
	}
	c := call{
		batch: j.entry.Batch, worker: l.id, stage: r.stage.ID, timeout: r.stage.Timeout,
		tries: j.entry.Attempts + 1, retries: r.stage.Retries, leave: leave,
	}
	if r.stage.Kind == broker.KindFuture {
		c.flight = l.flights.begin(j.entry.Batch)
		defer l.flights.end(c.flight)
	}
	got := runners[f].run(ctx, c)
	if got.err != nil {
		return unreadable(j, got.err)
	}
	if got.n > 0 {
		r.learn(got.spent, got.n)
		r.stock(got.spent, got.n, max(len(j.entry.Frame), len(got.frame)))
	}
	l.ok.Add(int64(got.n - len(got.again)))
	l.failed.Add(int64(got.failed))
	d, err := product(j, got)
	if err != nil { // cannot be: the runner has read it
		return unreadable(j, err)
	}
	return d
}

// copied adds a batch to every out-queue.
func copied(j job) done {
	d := putBack(j.route, j.entry)
	for _, out := range j.route.stage.Outs {
		b := j.entry.Batch
		b.Source += out.Branch
		d.replace.Outs = append(d.replace.Outs, broker.Product{Queue: out.Queue, Batch: b})
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
