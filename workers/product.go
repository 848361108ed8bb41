package workers

import (
	"math/rand/v2"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// product is what steps do to the entry. Frames are made in memory.
func product(j job, all []step, memory *batch.Memory) (done, error) {
	r, e, got := j.route, j.entry, all[0]
	left, err := remain(e.Batch, got.n, r.cost())
	if err != nil {
		return done{}, err
	}
	d := putBack(r, e, left...)
	if got.n == 0 {
		return d, nil
	}
	d.replace.Cost = r.cost()
	if got.again != nil { // the only step
		in := e.Batch
		if got.n < e.N {
			if in, _, err = in.Split(got.n); err != nil {
				return done{}, err
			}
		}
		return d, d.mixed(in, d.made(got, 0, memory), got.again)
	}
	for i, s := range all {
		taken := 0
		if i+1 < len(all) {
			taken = all[i+1].n
			d.replace.By = append(d.replace.By, broker.Passed{Queue: s.route.stage.Outs[0].Queue, Items: taken})
		}
		if taken == s.n {
			continue
		}
		if err := d.results(s.route.stage, d.made(s, taken, memory)); err != nil {
			return done{}, err
		}
	}
	return d, nil
}

// made are the items that a step has done, from the nth on.
func (d *done) made(s step, n int, memory *batch.Memory) batch.Batch {
	out := s.from(d.replace.Entry.Source, d.replace.Entry.First, n, memory)
	d.spent = append(d.spent, out.Frame)
	return out
}

// remain is what was left off, in pieces that fit into a spell and few others.
func remain(b batch.Batch, done int, cost time.Duration) ([]batch.Batch, error) {
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
	return pieces(rest, spellItems(cost))
}

// results adds items that a stage has done to its out-queue, or to the futures.
func (d *done) results(s broker.Stage, out batch.Batch) error {
	if s.Kind == broker.KindFuture {
		d.resolved = append(d.resolved, futures(s, out))
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
		d.replace.Outs = append(d.replace.Outs, broker.Product{Queue: target, Batch: part})
	}
	return nil
}

// mixed takes apart what is done and what is to be tried again, by its index.
func (d *done) mixed(in, out batch.Batch, again []int) error {
	failed := make(map[int]bool, len(again))
	for _, i := range again {
		failed[i] = true
	}
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
	tried := d.replace.Entry.Attempts + 1
	for i := range outs {
		if failed[int(ins[i].First-in.First)] {
			d.replace.Rests = append(d.replace.Rests, broker.Rest{Batch: ins[i], Attempts: tried, Delay: backoff(d.route.stage, tried)})
		} else if err := d.results(d.route.stage, outs[i]); err != nil {
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
