package worker

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// maxFused is how many stages run one after the other at most.
const maxFused = 32

// fuse makes chains of routes: where a stage's out-queue is read by a stage that
// this worker has too, and nobody asked for a place of its own, what the first
// one makes need not go through the queue.
func fuse(routes []*route) {
	reader := make(map[string]*route, len(routes))
	for _, r := range routes {
		reader[r.In] = r
	}
	for _, r := range routes {
		r.behind = nil
		for _, out := range r.stage.Outs {
			if next := reader[out.Name]; next != nil {
				r.behind = append(r.behind, next)
			}
		}
		var next *route
		if len(r.stage.Outs) == 1 && len(r.behind) == 1 && fusable(r.stage, r.behind[0].stage) {
			next = r.behind[0]
		}
		r.next.Store(next)
	}
	for _, r := range routes {
		most, room, last := int64(maxAhead), int64(0), r
		r.Outs = nil
		for i, at := 0, r; at != nil && i < maxFused; i, at = i+1, at.next.Load() {
			last = at
			for _, out := range at.stage.Outs {
				if out.Max > 0 { // only the last one may have a bound
					most, room = 1, maxOuts*out.Max
				}
				r.Outs = append(r.Outs, out.Name)
			}
		}
		r.most.Store(most)
		r.room.Store(room)
		r.after.Store(last.goesOn())
	}
}

// goesOn is the route that a slot may go on with when it has completed this one: who reads
// the only out-queue, where no bound of the user's has to be looked at first.
func (r *route) goesOn() *route {
	if len(r.stage.Outs) != 1 || len(r.behind) != 1 {
		return nil
	}
	if behind := r.behind[0]; !behind.limited() && behind.stage.Ins[0].Inc == r.stage.Outs[0].Inc {
		return behind
	}
	return nil
}

// fusable tells whether a stage can run with the one behind it. A bound on the
// queue between is a wish for that queue, and what the second stage tries again
// waits there.
func fusable(first, second broker.Stage) bool {
	between := first.Outs[0]
	return first.Kind == broker.KindMap && second.Kind == broker.KindMap && !first.NoFuse && !second.NoFuse &&
		between.Max == 0 && between.Inc == second.Ins[0].Inc && second.Retries == 0
}

// A step is the result of one stage for a batch.
type step struct {
	route  *route
	runner runner.Runner
	runner.Result
}

// from returns the items that the step has done, from the nth on, as they go into
// a queue.
func (s step) from(source string, first int64, n int, memory *batch.Memory) batch.Batch {
	if s.Held != nil {
		return batch.Batch{Source: source, First: first + int64(n), N: s.N - n, Frame: s.Held.Encode(n, memory)}
	}
	made := batch.Batch{Source: source, First: first, N: s.N, Frame: s.Frame}
	if n > 0 {
		_, made, _ = made.Split(n) // 0 < n < N, and the frame is the runner's
	}
	return made
}

// steps runs a batch through the stage of a job and those that are fused with it,
// as far as it goes: there is at least one step, and each has done no more than
// the one before. An entry that workers have died with is left to one stage.
func (s *slot) steps(ctx context.Context, j job) ([]step, error) {
	b := j.entry.Batch
	all := []step{s.call(ctx, j.route, b, nil, j.entry.Attempts)}
	for next := j.route.next.Load(); next != nil && j.entry.Crashes == 0 && len(all) < maxFused; next = next.next.Load() {
		last := all[len(all)-1]
		if last.N == 0 || last.Again != nil || ctx.Err() != nil || next.breaker.rests() {
			break
		}
		between := batch.Batch{Source: b.Source, First: b.First, N: last.N, Frame: last.Frame}
		got := s.call(ctx, next, between, last.Held, 0)
		if got.Err != nil || got.N == 0 {
			s.release([]step{got})
			break
		}
		all = append(all, got)
	}
	return all, all[0].Err
}

// learn takes note of what the steps cost: to the queue of the first one, an item
// costs what all of them do.
func (s *slot) learn(j job, all []step) {
	var total time.Duration
	size := len(j.entry.Frame)
	for _, st := range all {
		s.worker.counts.done.Add(int64(st.N - len(st.Again)))
		s.worker.counts.failed.Add(int64(st.Failed))
		total, size = total+st.Spent, max(size, len(st.Frame))
		if st.route != j.route {
			st.route.learn(st.Spent, st.N)
		}
	}
	if n := all[0].N; n > 0 {
		j.route.learn(total, n)
		j.route.stock(total, n, size, s.concurrency)
	}
}
