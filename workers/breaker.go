package workers

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// firstRest is how long a worker does not run a function that was unavailable; each further time it is twice as long.
	firstRest   = 100 * time.Millisecond
	longestRest = 30 * time.Second
	// longRow is how many rests without a success in between are told again.
	longRow = 6
	// quiet is how long a worker that has warned of a function does not do so again.
	quiet = time.Minute
	// recovery is how many calls have to succeed until one more may run at the same time.
	recovery = 32
	// maxBlame is how often an item may be unavailable in a worker in which the function has succeeded. Without a success in
	// between, that takes 13 seconds.
	maxBlame = 8
	// maxFailing is how many calls in a row may fail here, if others succeed on the same items, until the function rests.
	maxFailing = 8
	// maxBlamed is how many items are remembered for that.
	maxBlamed = 1024
)

// A breaker keeps a worker from calling a function that is unavailable in it.
type breaker struct {
	until atomic.Int64 // no call begins before, in ns since 1970; 0: at any time
	left  atomic.Int64 // calls that were left behind and still run

	mu    sync.Mutex
	freed *sync.Cond     // a call has ended
	row   int            // rests without a success in between
	limit int            // calls at the same time; 0: any number
	calls int            // that run
	good  int64          // calls that succeeded
	raise int64          // when good is that, the limit is raised
	told  time.Time      // when the worker warned
	items map[itemID]int // how often each was unavailable

	failing int  // calls without an item that succeeded, since the last success
	alone   int  // rests because other workers succeed, since the function was last called freely
	cured   bool // another worker has succeeded since the last of these rests began
}

type itemID struct {
	source string
	offset int64
}

func newBreaker() *breaker {
	t := &breaker{items: map[itemID]int{}}
	t.freed = sync.NewCond(&t.mu)
	return t
}

// rests reports whether the function is not run for now. A nil breaker never rests.
func (t *breaker) rests() bool {
	if t == nil {
		return false
	}
	until := t.until.Load()
	return until > 0 && time.Now().UnixNano() < until
}

// begin waits until one more call may run. It returns false if none may for now.
func (t *breaker) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.limit > 0 && t.calls >= t.limit && !t.rests() {
		t.freed.Wait()
	}
	if t.rests() {
		return false
	}
	t.calls++
	return true
}

// end notes that a call has ended, which has run some items, of which so many failed. It returns the rest that begins now.
func (t *breaker) end(ran, failed int) (rest time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls--
	t.freed.Broadcast()
	if ran == 0 {
		return 0
	}
	t.row = 0
	switch {
	case failed == ran:
		t.failing++
		switch {
		case t.alone == 0 || t.rests():
		case t.cured: // it was a trial, and others still succeed
			rest = t.restAlone().rest
		default: // the items are to blame, or no other worker is left
			t.alone, t.limit = 0, 0
		}
	case t.alone > 0:
		t.failing, t.alone, t.limit = 0, 0, 0
	default:
		t.failing = 0
	}
	if t.good++; t.limit > 0 && t.good >= t.raise {
		t.limit, t.raise = t.limit+1, t.good+recovery
	}
	return rest
}

// A verdict is the decision about an item for which a function was unavailable.
type verdict struct {
	blamed bool          // the item is the cause
	rest   time.Duration // of the function, which begins now; 0: it has begun before
	row    int
	warn   bool // for the first time in a while
}

// unavailable notes that a call could not run an item.
func (t *breaker) unavailable(id itemID) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.blames(id) {
		return verdict{blamed: true}
	}
	if t.rests() {
		return verdict{}
	}
	t.row++
	return t.rest(t.row)
}

// succeedsElsewhere notes that another worker has succeeded with an item that failed in this one.
func (t *breaker) succeedsElsewhere() verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cured = true
	if t.failing < maxFailing || t.alone > 0 || t.rests() {
		return verdict{}
	}
	return t.restAlone()
}

// restAlone begins a rest of a function that fails in this worker alone. One call at a time tries it afterwards: if that
// fails too, and another worker has succeeded meanwhile, a longer rest follows. Otherwise the function is called freely again,
// so that items which fail everywhere do not slow the worker down, and neither does the end of all other workers.
func (t *breaker) restAlone() verdict {
	t.alone, t.cured = t.alone+1, false
	v := t.rest(t.alone)
	t.limit, t.raise = 1, math.MaxInt64
	return v
}

// rest begins a rest, the row-th in a row.
func (t *breaker) rest(row int) verdict {
	rest := longestRest
	if shift := row - 1; shift < 16 {
		rest = min(rest, firstRest<<shift)
	}
	t.until.Store(time.Now().Add(rest).UnixNano())
	if t.calls > 1 {
		t.limit, t.raise = t.calls/2, t.good+recovery
	}
	t.freed.Broadcast()
	warn := time.Since(t.told) > quiet
	if warn {
		t.told = time.Now()
	}
	return verdict{rest: rest, row: row, warn: warn}
}

// blames reports whether an item has been unavailable so often that it is the cause.
func (t *breaker) blames(id itemID) bool {
	times := t.items[id] + 1
	if times >= maxBlame && t.good > 0 {
		delete(t.items, id)
		return true
	}
	if len(t.items) >= maxBlamed {
		clear(t.items)
	}
	t.items[id] = times
	return false
}

// rested reports whether a rest has ended lately.
func (t *breaker) rested() bool {
	until := t.until.Load()
	return until > 0 && time.Since(time.Unix(0, until)) < 10*time.Second
}

// unavailable decides about the i-th item of a batch that a function could not run: it goes back, or the item
// is the cause.
func (h *slot) unavailable(r *route, b batch.Batch, i int, why string) (back bool) {
	v := r.breaker.unavailable(itemID{b.Source, b.First + int64(i)})
	if v.rest > 0 {
		h.restUntilRetry(v.rest)
		switch {
		case v.warn:
			h.log.Warn("a function is unavailable in this worker; its items go back and count no attempt", "function", r.function.name, "why", why)
		case v.row == longRow:
			h.log.Warn("a function is still unavailable in this worker, which tries it again every 30s or sooner", "function", r.function.name, "why", why)
		default:
			h.log.Debug("a function is unavailable again", "function", r.function.name, "rest", v.rest, "why", why)
		}
	}
	return !v.blamed
}

// succeedsElsewhere lets a function rest in this worker if each of its last calls here failed.
func (l *session) succeedsElsewhere(ctx context.Context, function string) {
	_, b := l.function(function)
	if b == nil {
		return
	}
	v := b.succeedsElsewhere()
	if v.rest == 0 {
		return
	}
	l.restUntilRetry(v.rest)
	if v.warn {
		l.log.WarnContext(ctx, "every call of a function fails in this worker, and another worker succeeds with the same items; "+
			"this worker calls it less often until a call succeeds", "function", function)
	}
}

// restUntilRetry lets each partition look for work again after a rest.
func (w *Worker) restUntilRetry(rest time.Duration) {
	for _, l := range w.all() {
		l.retry.in(rest)
	}
}

// tellOfSuccess tells the worker whose attempt of an entry failed that this worker has succeeded: once in a while for a
// route. Its caller has the turn to complete.
func (l *session) tellOfSuccess(ctx context.Context, d completion) {
	failed := d.replace.Entry.Failed
	if !d.cured || failed == l.id || time.Since(d.route.told) < firstRest/4 {
		return
	}
	d.route.told = time.Now()
	if err := l.client.SendHint(ctx, failed, broker.Hint{Kind: broker.HintSuccess, What: d.route.function.name}); err != nil {
		l.log.DebugContext(ctx, "tell a worker of a success", "worker", failed, "err", err)
	}
}
