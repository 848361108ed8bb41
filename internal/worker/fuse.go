package worker

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// maxFused limits the stages that run one after another.
const maxFused = 32

// fuse links routes. If this worker also has the stage that reads the out-queue of a stage, and no
// option forbids it, the results of the first stage do not go through the queue. A paused stage reads
// no queue.
func fuse(routes []*route) {
	reader := make(map[string]*route, len(routes))
	for _, r := range routes {
		if !r.stopped() {
			reader[r.In] = r
		}
	}
	for _, r := range routes {
		r.readers = nil
		for _, out := range r.stage.Outs {
			if next := reader[out.Name]; next != nil {
				r.readers = append(r.readers, next)
			}
		}
		var next *route
		if len(r.stage.Outs) == 1 && len(r.readers) == 1 && fusable(r.stage, r.readers[0].stage) {
			next = r.readers[0]
		}
		r.fused.Store(next)
	}
	for _, r := range routes {
		most, room, last := int64(maxAhead), int64(0), r
		r.Outs = nil
		for i, at := 0, r; at != nil && i < maxFused; i, at = i+1, at.fused.Load() {
			last = at
			for _, out := range at.stage.Outs {
				if out.Max > 0 { // only the last one may have a bound
					most, room = 1, maxOuts*out.Max
				}
				r.Outs = append(r.Outs, out.Name)
			}
		}
		r.maxStock.Store(most)
		r.maxItems.Store(room)
		r.continuation.Store(last.continuationRoute())
	}
}

// continuationRoute returns the route that a slot may go on with after this one: the reader of the
// only out-queue, if no bound of the user has to be checked first.
func (r *route) continuationRoute() *route {
	if len(r.stage.Outs) != 1 || len(r.readers) != 1 {
		return nil
	}
	if behind := r.readers[0]; !behind.userBounded() && behind.stage.Ins[0].Inc == r.stage.Outs[0].Inc {
		return behind
	}
	return nil
}

// fusable reports whether a stage can run with the one behind it. A bound on the queue between them
// is meant for that queue, and retries of the second stage wait in it, as do its items while a limit holds
// them.
func fusable(first, second broker.Stage) bool {
	between := first.Outs[0]
	return first.Maps() && (second.Maps() || second.Kind == broker.KindFuture) && !first.NoFuse && !second.NoFuse &&
		between.Max == 0 && between.Inc == second.Ins[0].Inc && second.Retries == 0 && second.Limits == nil
}

// A step is the result of one stage for a batch.
type step struct {
	route  *route
	runner runner.Runner
	runner.Result
	counted  time.Duration // part of Spent that was reported during the call
	canceled bool          // an operator has canceled an item: Spent is not the time of the function
}

// from returns the outputs of the step from the n-th on, as a batch for a queue.
func (s step) from(source string, first int64, n int, memory *batch.Memory) batch.Batch {
	if s.Held != nil {
		return batch.Batch{Source: source, First: first + int64(n), N: s.N - n, Frame: s.Held.Encode(n, s.N, memory)}
	}
	made := batch.Batch{Source: source, First: first, N: s.N, Frame: s.Frame}
	if n > 0 {
		_, made, _ = made.Split(n) // cannot fail: 0 < n < N, and the runner has made the frame
	}
	return made
}

// itemsIn returns the number of items that the step has made at the offsets from the from-th to
// before the to-th.
func (s step) itemsIn(from, to int) int {
	if s.Held != nil {
		return s.Held.ItemsIn(from, to)
	}
	items, err := batch.Batch{N: s.N, Frame: s.Frame}.ItemsIn(from, to)
	if err != nil { // cannot happen: the runner has made the frame
		return to - from
	}
	return items
}

// steps runs a batch through the stage of a job and those fused with it. It returns at least one
// step, and each has run no more items than the one before. An entry that workers have died with
// runs through one stage only.
func (s *slot) steps(ctx context.Context, j job) ([]step, error) {
	b := j.entry.Batch
	all := []step{s.call(ctx, j.route, b, nil, j.entry.Attempts)}
	for next := j.route.fused.Load(); next != nil && j.entry.Crashes == 0 && len(all) < maxFused; next = next.fused.Load() {
		last := all[len(all)-1]
		if last.N == 0 || last.Again != nil || ctx.Err() != nil || next.breaker.rests() || next.limiter.free() == 0 {
			break
		}
		between := batch.Batch{Source: b.Source, First: b.First, N: last.fits(next.groupLimit()), Frame: last.Frame}
		if between.N == 0 {
			break
		}
		if between.N < last.N && last.Held == nil {
			between, _, _ = batch.Batch{Source: b.Source, First: b.First, N: last.N, Frame: last.Frame}.Split(between.N) // the runner has made the frame
		}
		got := s.call(ctx, next, between, last.Held, 0)
		if got.Err != nil || got.N == 0 || got.Again != nil { // again: an operator has canceled one of its items
			s.release([]step{got})
			break
		}
		all = append(all, got)
	}
	return all, all[0].Err
}

// learn records the cost of the steps and counts their items. For the first queue, the cost of an
// item is that of all steps.
func (s *slot) learn(j job, all []step) {
	var total time.Duration
	size := len(j.entry.Frame)
	for _, st := range all {
		s.worker.counts.done.Add(int64(st.Items - len(st.Again)))
		s.worker.counts.failed.Add(int64(st.Failed))
		total, size = total+st.Spent, max(size, len(st.Frame))
		all[0].canceled = all[0].canceled || st.canceled // its cost is that of all steps
	}
	all[0].route.record(all[0], total, len(j.entry.Frame))
	all[0].route.grow(all)
	for i, st := range all[1:] {
		st.route.record(st, st.Spent, len(all[i].Frame))
	}
	if n := all[0].N; n > 0 { // the others of the entry cost as much
		j.route.stock(total*time.Duration(j.entry.N)/time.Duration(n), j.entry.N, size, s.concurrency())
	}
}
