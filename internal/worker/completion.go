package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// product is what steps did to the entries of a job, whose items they ran one after the
// other: made has room for one done for each entry. Frames are made in memory.
func product(r *route, entries []broker.Entry, all []step, memory *batch.Memory, made []completion) error {
	cost, at := r.cost(), 0
	for i, e := range entries {
		n := inside(all[0].N, at, e.N)
		left, err := remain(e.Batch, n, r.timeSlices(), cost)
		if err != nil {
			return err
		}
		made[i] = requeue(r, e, left...)
		if n > 0 {
			made[i].replace.Cost = cost
		}
		at += e.N
	}
	for i, s := range all {
		taken := 0
		if i+1 < len(all) {
			taken = all[i+1].N
			passed(s.route.stage.Outs[0].Queue, taken, entries, made)
		}
		if taken == s.N {
			continue
		}
		if err := outputs(s, taken, entries, memory, made); err != nil {
			return err
		}
	}
	return nil
}

// inside is how many of the first n items are among size items from the one at on.
func inside(n, at, size int) int { return min(max(n-at, 0), size) }

// passed notes that the first n items went past a queue.
func passed(q broker.Queue, n int, entries []broker.Entry, made []completion) {
	at := 0
	for i, e := range entries {
		if by := inside(n, at, e.N); by > 0 {
			made[i].replace.Bypassed = append(made[i].replace.Bypassed, broker.Bypassed{Queue: q, Items: by})
		}
		at += e.N
	}
}

// outputs gives the items that a step has done, from the nth on, to the entries that they
// come from.
func outputs(s step, n int, entries []broker.Entry, memory *batch.Memory, made []completion) error {
	out := s.from(entries[0].Source, entries[0].First, n, memory)
	var borders []int
	for _, e := range entries[:len(entries)-1] {
		if border := int(e.End() - out.First); 0 < border && border < out.N {
			borders = append(borders, border)
		}
	}
	first := slices.IndexFunc(entries, func(e broker.Entry) bool { return out.First < e.End() })
	made[first].spent = append(made[first].spent, out.Frame)
	if borders == nil {
		return made[first].add(s, out, n)
	}
	parts, err := out.Parts(borders)
	if err != nil {
		return err
	}
	for i, part := range parts {
		d := &made[first+i]
		if i > 0 { // the first one is a part of the frame
			d.spent = append(d.spent, part.Frame)
		}
		if err := d.add(s, part, int(part.First-entries[0].First)); err != nil {
			return err
		}
	}
	return nil
}

// add adds what a step made of items of the entry; at is the index of the first one among
// those that the step ran.
func (c *completion) add(s step, out batch.Batch, at int) error {
	if s.Again == nil {
		return c.results(s.route.stage, out)
	}
	in := c.replace.Entry.Batch // it is the only step
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
	return c.mixed(in, out, failed, s.Pause)
}

// remain returns the items that were left off, in pieces that fit into a time slice and few others.
func remain(b batch.Batch, done, spells int, cost time.Duration) ([]batch.Batch, error) {
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
	return pieces(rest, timeSliceItems(spells, cost))
}

// results adds items that a stage has done to its out-queue, or to the futures.
func (c *completion) results(s broker.Stage, out batch.Batch) error {
	if s.Kind == broker.KindFuture {
		c.resolved = append(c.resolved, futures(s, out))
		return nil
	}
	target := s.Outs[0].Queue
	parts := []batch.Batch{out}
	if target.Max > 0 {
		var err error
		if parts, err = out.Cut(int(target.Max)); err != nil {
			return err
		}
	}
	for _, part := range parts {
		c.replace.Outs = append(c.replace.Outs, broker.Output{Queue: target, Batch: part})
	}
	return nil
}

// mixed takes apart what is done and what failed and is to be tried again, by its index, not before least
// has passed.
func (c *completion) mixed(in, out batch.Batch, failed map[int]bool, least time.Duration) error {
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
	tried := c.replace.Entry.Attempts + 1
	for i := range outs {
		if failed[int(ins[i].First-in.First)] {
			c.replace.Remainders = append(c.replace.Remainders, broker.Remainder{Batch: ins[i], Attempts: tried, Delay: max(least, backoff(c.route.stage, tried))})
		} else if err := c.results(c.route.stage, outs[i]); err != nil {
			return err
		}
	}
	return nil
}

// The pause before the second attempt of an item, which doubles with each
// further one up to the longest, where the stage does not say others.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
)

// backoff is how long to wait after so many attempts: a quarter more or less,
// so that what failed together does not come back together.
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

// unreadable makes a dead letter of an entry that is no batch. It has no place
// in any stream that a result could go to.
func unreadable(j job, why error) completion {
	d := requeue(j.route, j.entry)
	d.replace.Dead = &batch.Failure{
		Code: batch.CodeDecode, Message: "malformed entry: " + why.Error(), Stage: j.route.stage.ID, Function: j.route.stage.Function,
	}
	return d
}

// poison makes a dead letter of an item that kills its workers, and puts a
// failure in its place.
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
	if err := d.results(stage, out); err != nil {
		return unreadable(j, err)
	}
	s.worker.counts.failed.Add(1)
	return d
}
