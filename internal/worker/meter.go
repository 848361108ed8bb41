package worker

import (
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A meter counts the work on a route since the last report. The mutex of the route guards it, which
// a slot holds anyway when it records the cost of a batch.
type meter struct {
	counts  broker.StageCounts
	times   broker.Histogram
	waits   broker.Histogram
	errors  errorCounts
	changed bool
}

// empty reports whether there is no work to report.
func (m *meter) empty() bool { return !m.changed }

// take returns the counts as the work on a stage, and begins with new ones.
func (m *meter) take(stage broker.Stage) broker.StageWork {
	w := broker.StageWork{Stage: stage, Counts: m.counts, Times: m.times, Waits: m.waits}
	w.Errors, w.Counts.OtherErrors = m.errors.take()
	*m = meter{errors: m.errors}
	return w
}

// record counts a step and records its cost. For the first of several fused steps, spent is the cost
// of all of them. bytes are those of the frame that the step has read. A step that an operator has
// canceled has no cost: an item that hung for hours would hide the ones that hang after it.
func (r *route) record(s step, spent time.Duration, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Items > 0 && !s.canceled {
		r.learnCost(spent, s.Items)
	}
	m := &r.meter
	c := &m.counts
	if !s.canceled {
		c.Spent += s.Spent
	}
	c.Busy += max(0, s.Spent-s.counted)
	m.changed = m.changed || s.N > 0 || s.Spent > 0
	if s.N == 0 {
		return
	}
	c.Items += int64(s.Items - len(s.Again))
	c.Failed += int64(s.Failed)
	c.Retried += int64(len(s.Again))
	c.Batches++
	c.Bytes += int64(bytes)
	if !s.canceled {
		m.times.Add(s.Spent, s.Items)
	}
}

// waited counts n items, each of which was in the in-queue for a time before a call had it.
func (r *route) waited(d time.Duration, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.waits.AddEach(d, n)
	r.meter.changed = true
}

// passed counts items that no function ran on: those of a copy, and those that are lost.
func (r *route) passed(items, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.meter.counts
	c.Items, c.Batches, c.Bytes = c.Items+int64(items), c.Batches+1, c.Bytes+int64(bytes)
	r.meter.changed = true
}

// failed counts a failed attempt of an item among the errors.
func (r *route) failed(f failedAttempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.errors.add(f)
	r.meter.changed = true
}

// crashed counts an item that became a failure because workers died with it.
func (r *route) crashed(f failedAttempt) {
	r.failed(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.counts.Items++
	r.meter.counts.Failed++
}

// superseded counts items whose results were not stored.
func (r *route) superseded(items int) {
	if items == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.counts.Lost += int64(items)
	r.meter.changed = true
}

// supersede counts the items of a completion that was superseded, in the route and in those fused
// with it.
func (c *completion) supersede() {
	items := 0
	for _, out := range c.replace.Outs {
		items += out.N
	}
	for _, results := range c.resolved {
		items += len(results.Results)
	}
	r := c.route
	r.superseded(items)
	for _, by := range c.replace.Bypassed {
		if r = r.fused.Load(); r == nil || r.In != by.Queue.Name {
			return
		}
		r.superseded(by.Items)
	}
}

// beginFull records that an out-queue has no room while entries wait. Only the fetcher calls it.
func (r *route) beginFull() {
	r.lacksRoom = true
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	r.countFull(now)
	r.fullSince = now
}

// endFull records that the out-queues have room again, or that no entry waits. Only the fetcher calls
// it.
func (r *route) endFull() {
	if !r.lacksRoom {
		return
	}
	r.lacksRoom = false
	r.mu.Lock()
	defer r.mu.Unlock()
	r.countFull(time.Now())
	r.fullSince = time.Time{}
}

// countFull adds the time since the last call if the route was full. The caller holds the mutex of
// the route.
func (r *route) countFull(now time.Time) {
	if r.fullSince.IsZero() {
		return
	}
	r.meter.counts.Full += now.Sub(r.fullSince)
	r.meter.changed = true
	r.fullSince = now
}

// isBusy adds the time of a call that has not returned.
func (r *route) isBusy(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.meter.counts.Busy += d
	r.meter.changed = true
}

// work returns the work since the last report. ok is false if there is none.
func (r *route) work(now time.Time) (w broker.StageWork, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.countFull(now); r.ended() {
		r.fullSince = time.Time{}
	}
	if r.meter.empty() {
		return w, false
	}
	return r.meter.take(r.stage), true
}
