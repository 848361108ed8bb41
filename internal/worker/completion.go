package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// completionsOf fills made with the completion of each entry of a job, whose items the steps ran
// one after another. It makes frames in memory.
func completionsOf(r *route, entries []broker.Entry, all []step, memory *batch.Memory, made []completion) error {
	cost, growth, at := r.cost(), r.grown(), 0
	leaf := timeSliceItems(r.timeSlices(), cost)
	if r.batched() {
		leaf = r.stage.Limits.Batch
	}
	for i, e := range entries {
		n := overlap(all[0].N, at, e.N)
		left, err := stopped(e.Batch, n, leaf)
		if err != nil {
			return err
		}
		made[i] = requeue(r, e, left...)
		if n > 0 {
			made[i].replace.Cost, made[i].replace.Growth = cost, growth
		}
		at += e.N
	}
	for i, s := range all {
		taken := 0
		if i+1 < len(all) {
			taken = all[i+1].N
			addBypassed(s, taken, entries, made)
		}
		if taken == s.N {
			continue
		}
		if err := addOutputs(s, taken, entries, memory, made); err != nil {
			return err
		}
	}
	return nil
}

// overlap returns how many of the first n items are among the size items from index at on.
func overlap(n, at, size int) int { return min(max(n-at, 0), size) }

// addBypassed records that the outputs of a step for the first n offsets bypassed its out-queue.
func addBypassed(s step, n int, entries []broker.Entry, made []completion) {
	at := 0
	for i, e := range entries {
		if by := overlap(n, at, e.N); by > 0 {
			passed := broker.Bypassed{Queue: s.route.stage.Outs[0].Queue, N: broker.Inputs(e.Source, e.First, by), Items: s.itemsIn(at, at+by)}
			made[i].replace.Bypassed = append(made[i].replace.Bypassed, passed)
		}
		at += e.N
	}
}

// addOutputs adds the outputs of a step, from the n-th item on, to the completions of their
// entries.
func addOutputs(s step, n int, entries []broker.Entry, memory *batch.Memory, made []completion) error {
	out := s.from(entries[0].Source, entries[0].First, n, memory)
	var borders []int
	first, at, end := 0, 0, 0 // at: index of the first item of the entry first among those of the step
	for i, e := range entries {
		if end += e.N; end <= n {
			first, at = i+1, end
		} else if border := end - n; border < out.N {
			borders = append(borders, border)
		}
	}
	parts := []batch.Batch{out}
	if borders != nil {
		var err error
		if parts, err = out.Parts(borders); err != nil {
			return err
		}
	}
	made[first].spent = append(made[first].spent, out.Frame)
	for i, part := range parts {
		d := &made[first+i]
		if i > 0 { // the first one shares the frame
			d.spent = append(d.spent, part.Frame)
		}
		e := entries[first+i]
		index := max(n, at)
		part.Source, part.First = e.Source, e.First+int64(index-at)
		if err := d.addStep(s, part, index); err != nil {
			return err
		}
		at += e.N
	}
	return nil
}

// addStep adds outputs of a step for items of the entry. at is the index of the first of them among
// the items of the step.
func (c *completion) addStep(s step, out batch.Batch, at int) error {
	if s.Again == nil {
		return c.addResults(s.route.stage, out)
	}
	in := c.replace.Entry.Batch // a step with retries is the only one
	if out.N < in.N {
		var err error
		if in, _, err = in.Split(out.N); err != nil {
			return err
		}
	}
	failed := make(map[int]bool, len(s.Again))
	for _, i := range s.Again {
		failed[i-at] = true
	}
	tried := c.replace.Entry.Attempts + 1
	again := broker.Remainder{Attempts: tried, Delay: max(s.Pause, backoff(s.route.stage, tried))}
	if s.Back {
		again = broker.Remainder{Attempts: tried - 1}
	}
	return c.addRetries(in, out, failed, again)
}

// stopped returns the items that did not run: pieces of leaf items each, and few larger ones.
func stopped(b batch.Batch, done, leaf int) ([]batch.Batch, error) {
	if done == b.N {
		return nil, nil
	}
	rest := b
	if done > 0 {
		var err error
		if _, rest, err = b.Split(done); err != nil {
			return nil, err
		}
	}
	return pieces(rest, leaf)
}

// addResults adds outputs to the out-queue, or as results of futures.
func (c *completion) addResults(s broker.Stage, out batch.Batch) error {
	if s.Kind == broker.KindFuture {
		c.resolved = append(c.resolved, resolved(s, out))
		return nil
	}
	target := s.Outs[0].Queue
	parts, err := outputs(out, int(target.Max))
	if err != nil {
		return err
	}
	for _, part := range parts {
		c.replace.Outs = append(c.replace.Outs, broker.Output{Queue: target, Batch: part})
	}
	return nil
}

// addRetries divides outputs into results and items to retry, which failed names by index. again is
// the remainder of the latter, without its batch.
func (c *completion) addRetries(in, out batch.Batch, failed map[int]bool, again broker.Remainder) error {
	var cuts []int
	for i := 1; i < out.N; i++ {
		if failed[i] != failed[i-1] {
			cuts = append(cuts, i)
		}
	}
	ins, err := in.Parts(cuts)
	if err != nil {
		return err
	}
	outs, err := out.Parts(cuts)
	if err != nil {
		return err
	}
	for i := range outs {
		if failed[int(ins[i].First-in.First)] {
			again.Batch = ins[i]
			c.replace.Remainders = append(c.replace.Remainders, again)
		} else if err := c.addResults(c.route.stage, outs[i]); err != nil {
			return err
		}
	}
	return nil
}

// The pause before the second attempt of an item, if the stage does not set one. It doubles with
// each attempt, up to the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// backoff returns the pause after an attempt, a quarter longer or shorter at random, so that items
// that failed together are not retried together.
func backoff(s broker.Stage, tried int) time.Duration {
	pause, longest := s.Backoff, s.MaxBackoff
	if pause <= 0 {
		pause, longest = firstPause, longestPause
	}
	for range min(tried, 64) - 1 {
		if pause >= longest {
			break
		}
		pause *= 2
	}
	pause = min(pause, longest)
	return pause*3/4 + rand.N(pause/2+1)
}

var errNoBatch = errors.New("it is no batch: its source is missing, or its offset and number of items are none")

// malformed makes a dead letter of an entry that is no batch. It has no offset in any queue for a
// result.
func malformed(j job, why error) completion {
	d := requeue(j.route, j.entry)
	d.replace.Dead = &batch.Failure{
		Code: batch.CodeDecode, Message: "malformed entry: " + why.Error(), Stage: j.route.stage.ID, Function: j.route.stage.Function,
	}
	return d
}

// poison makes a dead letter of an item that kills its workers. A failure takes its place.
func (s *session) poison(j job) completion {
	stage := j.route.stage
	why := &batch.Failure{
		Code: batch.CodeCrashed, Stage: stage.ID, Function: stage.Function, Attempts: j.entry.Attempts,
		Message: fmt.Sprintf("%d workers died while they ran the function on it; it is kept as a dead letter", j.entry.Crashes),
	}
	var b batch.Builder
	b.Failure(*why)
	d := requeue(j.route, j.entry)
	d.replace.Dead = why
	out := batch.Batch{Source: j.entry.Source, First: j.entry.First, N: 1, Frame: b.Take()}
	if err := d.addResults(stage, out); err != nil {
		return malformed(j, err)
	}
	s.worker.counts.failed.Add(1)
	j.route.crashed(failedAttempt{*why, j.entry.Source, j.entry.First})
	return d
}
