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

// Bounds of what one call of a batch function takes, and of how it is collected.
const (
	callBytes    = 1 << 20                // of frames, but for a single entry, if the function sets no bound
	callEntries  = 2048                   // each is completed by itself
	takeEntries  = 512                    // of one call of Take
	lingerStarts = 10                     // a call is waited for no longer than so many starts of it
	lingerMost   = 25 * time.Millisecond  // and than this, on a quiet machine
	lingerPause  = time.Millisecond       // until the queue is asked again
	stale        = 200 * time.Millisecond // after which collected entries that no slot is free for go back
)

// A collection is entries of a route that were taken and that no slot has yet: adjacent
// ones become one call of its batch function. It is the fetcher's.
type collection struct {
	runs  []run
	items int
	since time.Time // when the first of them was taken,
	grown time.Time // and when the last one
	more  bool      // the last request brought all that it asked for
	each  struct{ items, bytes float64 }
}

// A run is entries of one source, each of which begins where the one before it ends.
type run struct {
	entries      []broker.Entry
	items, bytes int
}

func (r *run) end() int64 { return r.entries[len(r.entries)-1].End() }

// joins tells whether several entries of a route may become one call.
func (r *route) joins() bool {
	return r.stage.Kind == broker.KindMap && r.whole()
}

// joinable tells whether an entry may be a part of a call.
func joinable(e broker.Entry) bool {
	return e.Crashes == 0 && e.Lost == nil && e.Source != "" && e.CheckRange() == nil
}

// collect adds an entry, to the run that it continues if there is one.
func (c *collection) collect(e broker.Entry) {
	c.grown = time.Now()
	if len(c.runs) == 0 {
		c.since = c.grown
	}
	c.items += e.N
	for i := range slices.Backward(c.runs) {
		run := &c.runs[i]
		if head := run.entries[0]; head.Source == e.Source && head.Attempts == e.Attempts && run.end() == e.First {
			run.entries, run.items, run.bytes = append(run.entries, e), run.items+e.N, run.bytes+e.Size
			return
		}
	}
	c.runs = append(c.runs, run{[]broker.Entry{e}, e.N, e.Size})
}

// cut takes the first entries of the first run off, about n items, and no more than most and
// so many bytes unless the first one has more.
func (c *collection) cut(n, most, bytes int) []broker.Entry {
	run := &c.runs[0]
	items, size, k := 0, 0, 0
	for _, e := range run.entries {
		if k > 0 && (items+e.N/2 > n || items+e.N > most || size+e.Size > bytes || k == callEntries) {
			break
		}
		items, size, k = items+e.N, size+e.Size, k+1
	}
	entries := run.entries[:k:k]
	if run.entries, run.items, run.bytes = run.entries[k:], run.items-items, run.bytes-size; len(run.entries) == 0 {
		c.runs = slices.Delete(c.runs, 0, 1)
	}
	c.items -= items
	c.since = c.grown
	return entries
}

// measure takes note of what one request brought.
func (c *collection) measure(entries []broker.Entry, more bool) {
	c.more = more
	if len(entries) == 0 {
		return
	}
	items, size := 0, 0
	for _, e := range entries {
		items, size = items+e.N, size+e.Size
	}
	n := float64(len(entries))
	if c.each.items == 0 {
		c.each.items, c.each.bytes = float64(items)/n, float64(size)/n
		return
	}
	c.each.items = (c.each.items + float64(items)/n) / 2
	c.each.bytes = (c.each.bytes + float64(size)/n) / 2
}

// want is how many entries to ask for, so that so many calls are full.
func (c *collection) want(calls int, w wish) int {
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

// A wish is what calls of a route should be like now.
type wish struct {
	items       int           // of the next call
	least       int           // items that the user wants it to have, 0: any
	most        int           // items that a call may have,
	bytes       int           // and bytes of them
	indivisible int           // items that a call may have although other slots are free
	linger      time.Duration // how long entries wait for more of them, as long as more come
	gap         time.Duration // after which no more come
	after       time.Time     // when the size may be known
}

// wish returns what calls of a route should be like.
func (r *route) wish() wish {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := int(r.jobs.Load())
	w := wish{items: r.calls.next(running), indivisible: r.calls.indivisible()}
	longest := time.Duration(float64(lingerMost) * r.calls.slower()) // producers are slower too
	if start := r.calls.start(); start >= lingerPause/2 {
		w.linger, w.gap = min(lingerStarts*start, longest), min(max(start, lingerPause), longest/2)
	}
	if running > 0 {
		w.after = r.calls.ready()
	}
	least, most, bytes := r.batchSize()
	if room := r.room.Load(); room > 0 { // results are never refused
		most = min(most, int(room/maxOuts))
	}
	if least > 1 { // the user knows that calls are dear
		w.linger, w.gap = longest, longest/2
	}
	w.least, w.items, w.most, w.bytes = least, min(max(w.items, least), most), most, bytes
	w.indivisible = max(w.indivisible, least)
	return w
}

// batchSize is how many items a call should have, how many it may have at most, and how many
// bytes.
func (r *route) batchSize() (least, most, bytes int) {
	most, bytes = batch.MaxItems, runner.MaxCallBytes
	for i, at := 0, r; at != nil && i < maxFused; i, at = i+1, at.next.Load() {
		if f := at.function; f != nil && f.Whole {
			least, most, bytes = max(least, f.MinItems), min(most, cmp.Or(f.MaxItems, most)), min(bytes, cmp.Or(f.MaxBytes, callBytes))
		}
		if at.function != nil && at.function.Whole && at.stage.Retries > 0 {
			most = min(most, maxTogether)
		}
	}
	return min(least, most), most, bytes
}

// leaf is of how many items the parts should be that an entry is cut into, 0 if it is not far
// above what a call should have.
func (w wish) leaf(e broker.Entry) int {
	switch {
	case e.Size > w.bytes && e.N > 1:
		return max(1, min(w.items, int(int64(e.N)*int64(w.bytes)/int64(e.Size))))
	case e.N > 2*w.items:
		return w.items
	}
	return 0
}

// ripe tells whether the first run should be called now.
func (c *collection) ripe(w wish) bool {
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

// calls is how many calls of a route may be begun.
func (f *fetcher) calls(r *route) int {
	if ahead := int(r.ahead.Load()); ahead > 0 {
		return min(ahead, maxAhead*f.concurrency) + f.concurrency - int(f.jobs.Load())
	}
	return min(f.concurrency-f.dear(), f.worker.partitions.free())
}

// collect takes entries that may become a part of a call, and returns all others.
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

// dispatchCalls begins the calls that are ripe, and gives back what no slot will have soon.
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
	if r.ended.Load() || calls <= 0 && c.items > 0 && time.Since(c.since) >= stale {
		return f.giveBack(ctx, r)
	}
	for ; calls > 0 && c.items > 0; calls-- {
		w := r.wish()
		if !c.ripe(w) {
			break
		}
		n := w.items
		if !c.more && c.items < calls*n {
			n = min(n, max((c.items+calls-1)/calls, w.indivisible))
		}
		entries := c.cut(n, w.most, w.bytes)
		if err := f.client.Fetch(ctx, &f.memory, entries); err != nil {
			c.uncut(entries)
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
	r.calls.begun++
}

// uncut takes back what cut has returned.
func (c *collection) uncut(entries []broker.Entry) {
	old := run{entries: entries}
	for _, e := range entries {
		old.items, old.bytes = old.items+e.N, old.bytes+e.Size
	}
	c.runs, c.items = slices.Insert(c.runs, 0, old), c.items+old.items
}

// giveBack puts back what was collected of a route.
func (f *fetcher) giveBack(ctx context.Context, r *route) error {
	for c := &r.collected; c.items > 0; {
		entries := c.cut(c.items, c.items, callBytes)
		if err := f.client.Fetch(ctx, &f.memory, entries); err != nil {
			c.uncut(entries)
			return err
		}
		for _, e := range entries {
			f.completions <- requeue(r, e, e.Batch)
		}
	}
	return nil
}

// giveBackAll gives back what was collected, as far as Redis answers; the rest is given back
// when the worker leaves.
func (f *fetcher) giveBackAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	for _, r := range f.collecting {
		if err := f.giveBack(ctx, r); err != nil {
			f.log.DebugContext(ctx, "give back", "err", err)
		}
	}
}

// linger waits until more entries may be there, or a slot is free. It returns false at once
// if nothing waits for that.
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

// process runs a job, and returns what became of its entries.
func (s *slot) process(ctx context.Context, j job) []completion {
	made := s.made[:0]
	if len(j.more) == 0 {
		return append(made, s.do(ctx, j))
	}
	entries := append([]broker.Entry{j.entry}, j.more...)
	if s.stopping.Load() || j.route.ended.Load() {
		for _, e := range entries {
			made = append(made, requeue(j.route, e, e.Batch))
		}
		return made
	}
	if made, ok := s.joined(ctx, j.route, entries); ok {
		return made
	}
	for _, e := range entries { // one of them is not well formed
		made = append(made, s.do(ctx, job{route: j.route, entry: e}))
	}
	return made
}

// joined runs entries in one call. It returns false if their frames are none.
func (s *slot) joined(ctx context.Context, r *route, entries []broker.Entry) (made []completion, ok bool) {
	parts := make([]batch.Batch, len(entries))
	for i, e := range entries {
		parts[i] = e.Batch
	}
	whole, err := batch.Join(parts, &s.memory)
	if err != nil {
		return nil, false
	}
	j := job{route: r, entry: entries[0]}
	j.entry.Batch = whole
	all, err := s.steps(ctx, j)
	defer s.release(all)
	if err != nil {
		return nil, false
	}
	s.learn(j, all)
	made = make([]completion, len(entries))
	if err := product(r, entries, all, &s.memory, made); err != nil {
		return nil, false
	}
	return made, true
}
