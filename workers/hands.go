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

// A done is what a hand made of a job.
type done struct {
	route    *route
	resolved *broker.Resolved // results that are futures: set before
	replace  broker.Done      // what replaces the entry
}

// putBack is an entry that was not worked on.
func putBack(r *route, e broker.Entry, rests []batch.Batch) done {
	return done{route: r, replace: broker.Done{Entry: e, In: r.stage.Ins[0], Crashes: e.Crashes, Rests: rests}}
}

// hand works on one job after the other until work is closed.
func (l *life) hand(ctx context.Context) {
	runners := map[*function]runner{}
	var late atomic.Bool
	clock := time.AfterFunc(time.Hour, func() { late.Store(true) })
	defer clock.Stop()
	leave := func() bool { return late.Load() || l.stopping.Load() }
	for j := range l.work {
		late.Store(false)
		clock.Reset(spell)
		d := l.do(ctx, j, runners, leave)
		l.held.Add(-1)
		j.route.held.Add(-1)
		l.done <- d
		select {
		case l.freed <- struct{}{}:
		default:
		}
	}
}

func (l *life) do(ctx context.Context, j job, runners map[*function]runner, leave func() bool) done {
	switch {
	case l.stopping.Load():
		return putBack(j.route, j.entry, []batch.Batch{j.entry.Batch})
	case j.route.stage.Kind == broker.KindCopy:
		j.route.stock(0, j.entry.N, len(j.entry.Frame))
		return copied(j)
	case j.entry.Lost != nil && j.route.stage.Kind == broker.KindMap:
		return copied(j)
	}
	f := j.route.function
	if runners[f] == nil {
		runners[f] = f.runner()
	}
	got := runners[f].run(ctx, call{
		batch: j.entry.Batch, worker: l.id, stage: j.route.stage.ID,
		timeout: j.route.stage.Timeout, retries: j.route.stage.Retries, leave: leave,
	})
	if got.err != nil { // the failure of all its items is one, however many it says they are
		return l.do(ctx, spoiled(j, got.err), runners, leave)
	}
	if got.n > 0 {
		j.route.learn(got.spent, got.n)
		j.route.stock(got.spent, got.n, max(len(j.entry.Frame), len(got.frame)))
	}
	l.ok.Add(int64(got.n))
	l.failed.Add(int64(got.failed))
	return l.product(j, got)
}

// spoiled is a job whose batch cannot be read: each of its items fails.
func spoiled(j job, err error) job {
	j.entry.Lost = &batch.Failure{
		Code: batch.CodeDecode, Message: err.Error(), Stage: j.route.stage.ID, Function: j.route.stage.Function,
	}
	return j
}

// product is what a result does to the entry.
func (l *life) product(j job, got result) done {
	r, e := j.route, j.entry
	d := done{route: r, replace: broker.Done{Entry: e, In: r.stage.Ins[0], Crashes: e.Crashes, Cost: r.cost()}}
	if got.n < e.N {
		rests, err := remain(e.Batch, got.n, r.cost())
		if err != nil { // cannot be: the runner has read it
			return copied(spoiled(j, err))
		}
		d.replace.Rests = rests
	}
	if got.n == 0 {
		d.replace.Cost = 0
		return d
	}
	out := batch.Batch{Source: e.Source, First: e.First, N: got.n, Frame: got.frame}
	if r.stage.Kind == broker.KindFuture {
		d.resolved = futures(r.stage, out)
		return d
	}
	target := r.stage.Outs[0].Queue
	parts := []batch.Batch{out}
	if target.Max > 0 && int64(out.N) > target.Max {
		if cut, err := out.Cut(int(target.Max)); err == nil {
			parts = cut
		}
	}
	for _, part := range parts {
		d.replace.Outs = append(d.replace.Outs, broker.Product{Queue: target, Batch: part})
	}
	return d
}

// remain cuts what was left off into batches that fit into a spell.
func remain(b batch.Batch, done int, cost time.Duration) ([]batch.Batch, error) {
	rest := b
	if done > 0 {
		var err error
		if _, rest, err = b.Split(done); err != nil {
			return nil, err
		}
	}
	return rest.Cut(int(max(1, spell/max(cost, 1))))
}

// copied adds a batch to every out-queue.
func copied(j job) done {
	d := putBack(j.route, j.entry, nil)
	for _, out := range j.route.stage.Outs {
		b := j.entry.Batch
		b.Source += out.Branch
		d.replace.Outs = append(d.replace.Outs, broker.Product{Queue: out.Queue, Batch: b})
	}
	return d
}

// futures takes results apart, a frame for each.
func futures(s broker.Stage, out batch.Batch) *broker.Resolved {
	resolved := &broker.Resolved{Source: out.Source, First: out.First, Reply: s.Reply, TTL: s.TTL}
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
