package worker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// Bounds of a call of a batch function, and of the collection of its entries.
const (
	callBytes    = 1 << 20                // of frames, if the function sets no bound; a single entry may have more
	callEntries  = 2048                   // each is replaced by itself
	takeEntries  = 512                    // of one call of Take
	lingerStarts = 10                     // bound of the wait for more entries, in starts of a call
	lingerMost   = 25 * time.Millisecond  // bound of the same wait on a quiet machine
	lingerPause  = time.Millisecond       // between two requests
	stale        = 200 * time.Millisecond // after which collected entries without a free slot are requeued
)

// A collection is the entries of a route that were taken and have no slot yet. Adjacent entries
// become one call of its batch function. Only the fetcher uses it.
type collection struct {
	runs  []adjacentEntries
	items int
	since time.Time // when its first entry was taken
	grown time.Time // when its last entry was taken
	more  bool      // the last request returned as many entries as it asked for
	each  struct{ items, bytes float64 }
}

// adjacentEntries are entries of one source, each of which begins at the end of the one before it.
type adjacentEntries struct {
	entries      []broker.Entry
	items, bytes int
}

func (r *adjacentEntries) end() int64 { return r.entries[len(r.entries)-1].End() }

// weight returns the items that an entry counts as in a collection. One without an item has to be
// completed too.
func weight(e broker.Entry) int { return max(1, e.Total) }

// joins reports whether adjacent entries of a route become one call.
func (r *route) joins() bool {
	return r.stage.Maps() && r.runsBatches() && !r.batched()
}

// joinable reports whether an entry may share a call with others.
func joinable(e broker.Entry) bool {
	return e.Crashes == 0 && e.Lost == nil && e.Source != "" && e.CheckRange() == nil
}

// collect adds an entry to the run that it continues, or as a new run.
func (c *collection) collect(e broker.Entry) {
	c.grown = time.Now()
	if len(c.runs) == 0 {
		c.since = c.grown
	}
	c.items += weight(e)
	for i := range slices.Backward(c.runs) {
		run := &c.runs[i]
		if head := run.entries[0]; head.Source == e.Source && head.Attempts == e.Attempts && run.end() == e.First {
			run.entries, run.items, run.bytes = append(run.entries, e), run.items+weight(e), run.bytes+e.Size
			return
		}
	}
	c.runs = append(c.runs, adjacentEntries{[]broker.Entry{e}, weight(e), e.Size})
}

// cut removes about n items from the front of the first run, at most most items and so many bytes.
// The first entry may have more.
func (c *collection) cut(n, most, bytes int) []broker.Entry {
	run := &c.runs[0]
	items, size, k := 0, 0, 0
	for _, e := range run.entries {
		if k > 0 && (items+weight(e)/2 > n || items+weight(e) > most || size+e.Size > bytes || k == callEntries) {
			break
		}
		items, size, k = items+weight(e), size+e.Size, k+1
	}
	entries := run.entries[:k:k]
	if run.entries, run.items, run.bytes = run.entries[k:], run.items-items, run.bytes-size; len(run.entries) == 0 {
		c.runs = slices.Delete(c.runs, 0, 1)
	}
	c.items -= items
	c.since = c.grown
	return entries
}

// measure updates the average size of an entry by the entries of one request.
func (c *collection) measure(entries []broker.Entry, more bool) {
	c.more = more
	if len(entries) == 0 {
		return
	}
	items, size := 0, 0
	for _, e := range entries {
		items, size = items+weight(e), size+e.Size
	}
	n := float64(len(entries))
	if c.each.items == 0 {
		c.each.items, c.each.bytes = float64(items)/n, float64(size)/n
		return
	}
	c.each.items = (c.each.items + float64(items)/n) / 2
	c.each.bytes = (c.each.bytes + float64(size)/n) / 2
}

// want returns the number of entries that fill so many calls.
func (c *collection) want(calls int, w callTarget) int {
	if calls <= 0 {
		return 0
	}
	missing := float64(calls)*float64(w.items) - float64(c.items)
	by := missing / max(c.each.items, 1)
	if c.each.bytes > 0 {
		by = min(by, float64(calls)*float64(w.bytes)/c.each.bytes)
	}
	return int(min(max(by+1, float64(calls)), takeEntries))
}

// A callTarget is the size and the timing of the next calls of a route.
type callTarget struct {
	items       int           // of the next call
	least       int           // items that the user wants it to have; 0: any
	most        int           // items that a call may have
	bytes       int           // bytes that a call may have
	indivisible int           // items of a call that is not divided for free slots
	linger      time.Duration // bound of the wait for more entries
	gap         time.Duration // without a new entry, after which the wait ends
	after       time.Time     // when the cost model may know the size
}

// wish returns the target of the next call of a route.
func (r *route) target() callTarget {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := int(r.jobs.Load())
	costs := r.callCosts()
	w := callTarget{items: costs.next(running), indivisible: costs.indivisible()}
	longest := time.Duration(float64(lingerMost) * costs.slower()) // producers are slower too
	if start := costs.start(); start >= lingerPause/2 {
		w.linger, w.gap = min(lingerStarts*start, longest), min(max(start, lingerPause), longest/2)
	}
	if running > 0 {
		w.after = costs.ready()
	}
	least, most, bytes := r.batchSize()
	if room := r.maxItems.Load(); room > 0 { // out-queues never refuse results
		most = min(most, int(room/maxOuts))
	}
	if least > 1 { // the user says that calls are expensive
		w.linger, w.gap = longest, longest/2
	}
	w.least, w.items, w.most, w.bytes = least, min(max(w.items, least), most), most, bytes
	w.indivisible = max(w.indivisible, least)
	return w
}

// batchSize returns the number of items that a call should have, and the number of items and bytes
// that it may have.
func (r *route) batchSize() (least, most, bytes int) {
	most, bytes = batch.MaxItems, runner.MaxCallBytes
	for i, at := 0, r; at != nil && i < maxFused; i, at = i+1, at.fused.Load() {
		if f := at.function; f != nil && f.Whole {
			least, most, bytes = max(least, f.MinItems), min(most, cmp.Or(f.MaxItems, most)), min(bytes, cmp.Or(f.MaxBytes, callBytes))
		}
		if at.function != nil && at.function.Whole && at.stage.Retries > 0 {
			most = min(most, maxTogether)
		}
	}
	return min(least, most), most, bytes
}

// leaf returns the number of items of the parts that an entry is cut into, 0 if it is not much
// larger than a call.
func (w callTarget) leaf(e broker.Entry) int {
	switch {
	case e.Size > w.bytes && e.N > 1:
		return max(1, min(w.items, int(int64(weight(e))*int64(w.bytes)/int64(e.Size))))
	case weight(e) > 2*w.items:
		return w.items
	}
	return 0
}

// ready reports whether the first run is called now.
func (c *collection) ready(w callTarget) bool {
	first := &c.runs[0]
	now := time.Now()
	switch {
	case c.items >= w.items, first.bytes >= w.bytes, len(first.entries) >= callEntries:
		return true
	case now.Before(w.after), c.more:
		return false
	case c.items == 1 && w.least <= 1:
		return true
	}
	return now.Sub(c.since) >= w.linger || now.Sub(c.grown) >= w.gap
}

// calls returns the number of calls of a route that may begin.
func (f *fetcher) calls(r *route) int { return min(f.callsOfSlots(r), r.limiter.free()) }

func (f *fetcher) callsOfSlots(r *route) int {
	if ahead := int(r.ahead.Load()); ahead > 0 {
		return min(ahead, maxAhead*f.concurrency()) + f.concurrency() - int(f.jobs.Load())
	}
	return min(f.concurrency()-f.expensive(), f.worker.partitions.free())
}

// collect keeps entries that may share a call, and returns the others.
func (f *fetcher) collect(r *route, entries []broker.Entry) (others []broker.Entry) {
	for _, e := range entries {
		switch {
		case !joinable(e):
			others = append(others, e)
		case f.entries.add(e.Ref):
			r.collected.collect(e)
		}
	}
	if r.collected.items > 0 && !slices.Contains(f.collecting, r) {
		f.collecting = append(f.collecting, r)
	}
	return others
}

// dispatchCalls begins the calls that are ready, and requeues entries that have no slot soon.
func (f *fetcher) dispatchCalls(ctx context.Context) error {
	for _, r := range f.collecting {
		if err := f.dispatchCallsOf(ctx, r); err != nil {
			return err
		}
	}
	f.collecting = slices.DeleteFunc(f.collecting, func(r *route) bool { return r.collected.items == 0 })
	return nil
}

func (f *fetcher) dispatchCallsOf(ctx context.Context, r *route) error {
	c := &r.collected
	calls := min(f.calls(r), cap(f.work)-len(f.work))
	if r.stopped() || f.worker.draining.Load() || calls <= 0 && c.items > 0 && time.Since(c.since) >= stale {
		return f.giveBack(ctx, r)
	}
	for ; calls > 0 && c.items > 0; calls-- {
		w := r.target()
		if !c.ready(w) || !r.limiter.begin() {
			break
		}
		n := w.items
		if !c.more && c.items < calls*n {
			n = min(n, max((c.items+calls-1)/calls, w.indivisible))
		}
		entries := c.cut(n, w.most, w.bytes)
		if err := f.client.Fetch(ctx, &f.memory, entries); err != nil {
			c.putBack(entries)
			r.limiter.end()
			return err
		}
		j := f.newJob(r, entries[0])
		if j.more = entries[1:]; len(j.more) == 0 {
			j.leaf = w.leaf(entries[0])
		}
		r.begun()
		f.work <- *j // the only sender
	}
	return nil
}

func (r *route) begun() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.callCosts().begun++
}

// putBack takes back the entries that cut has returned.
func (c *collection) putBack(entries []broker.Entry) {
	old := adjacentEntries{entries: entries}
	for _, e := range entries {
		old.items, old.bytes = old.items+weight(e), old.bytes+e.Size
	}
	c.runs, c.items = slices.Insert(c.runs, 0, old), c.items+old.items
}

// giveBack requeues the collected entries of a route.
func (f *fetcher) giveBack(ctx context.Context, r *route) error {
	for c := &r.collected; c.items > 0; {
		entries := c.cut(c.items, c.items, callBytes)
		if err := f.client.Fetch(ctx, &f.memory, entries); err != nil {
			c.putBack(entries)
			return err
		}
		for _, e := range entries {
			f.completions <- requeue(r, e, e.Batch)
		}
	}
	return nil
}

// giveBackAll requeues all collected entries if Redis answers. Otherwise they are requeued when the
// worker leaves.
func (f *fetcher) giveBackAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	for _, r := range f.collecting {
		if err := f.giveBack(ctx, r); err != nil {
			f.log.DebugContext(ctx, "give back", "err", err)
		}
	}
}

// linger waits until the queue may have more entries or a slot is free. It returns false at once if
// no collected entry waits.
func (f *fetcher) linger(ctx context.Context) bool {
	if len(f.collecting) == 0 {
		return false
	}
	timer := time.NewTimer(lingerPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-f.freed:
	case <-timer.C:
	}
	return true
}

// process runs a job and returns the completions of its entries.
func (s *slot) process(ctx context.Context, j job) []completion {
	made := s.made[:0]
	if j.items > 0 {
		return s.doBatch(ctx, j, made)
	}
	if len(j.more) == 0 {
		return append(made, s.do(ctx, j))
	}
	entries := append([]broker.Entry{j.entry}, j.more...)
	if s.stopping.Load() || j.route.stopped() {
		for _, e := range entries {
			made = append(made, requeue(j.route, e, e.Batch))
		}
		return made
	}
	if made, ok := s.joined(ctx, j, entries); ok {
		return made
	}
	for _, e := range entries { // one of them is malformed, or has a large group
		made = append(made, s.do(ctx, job{route: j.route, entry: e, since: j.since}))
	}
	return made
}

// joined runs the entries of a job in one call. It returns false if a frame is
// malformed or has a group that is too large for the route.
func (s *slot) joined(ctx context.Context, j job, entries []broker.Entry) (made []completion, ok bool) {
	parts := make([]batch.Batch, len(entries))
	for i, e := range entries {
		parts[i] = e.Batch
	}
	whole, err := batch.Join(parts, &s.memory)
	if err != nil || whole.LargestGroup() > j.route.groupLimit() {
		return nil, false
	}
	return s.runJoined(ctx, j, whole, entries)
}

// runJoined is joined for a batch of the first items of the entries.
func (s *slot) runJoined(ctx context.Context, j job, whole batch.Batch, entries []broker.Entry) (made []completion, ok bool) {
	r := j.route
	j.entry.Batch = whole
	s.traces = s.tracesOf(entries...)
	all, err := s.steps(ctx, j)
	defer s.release(all)
	if err != nil {
		return nil, false
	}
	s.learn(j, all)
	s.countTaken(ctx, j, all[0].Items)
	at := 0
	for _, e := range entries {
		r.waited(s.client.Wait(e.Ref, j.since), overlap(all[0].N, at, e.N))
		at += e.N
	}
	made = make([]completion, len(entries))
	if err := completionsOf(r, entries, all, &s.memory, made); err != nil {
		return nil, false
	}
	return made, true
}
