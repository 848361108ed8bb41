package worker

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
func (b *breaker) rests() bool {
	if b == nil {
		return false
	}
	until := b.until.Load()
	return until > 0 && time.Now().UnixNano() < until
}

// begin waits until one more call may run. It returns false if none may for now.
func (b *breaker) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.limit > 0 && b.calls >= b.limit && !b.rests() {
		b.freed.Wait()
	}
	if b.rests() {
		return false
	}
	b.calls++
	return true
}

// end notes that a call has ended, which has run some items, of which so many failed. It returns the rest that begins now.
func (b *breaker) end(ran, failed int) (rest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls--
	b.freed.Broadcast()
	if ran == 0 {
		return 0
	}
	b.row = 0
	switch {
	case failed == ran:
		b.failing++
		switch {
		case b.alone == 0 || b.rests():
		case b.cured: // it was a trial, and others still succeed
			rest = b.restAlone().rest
		default: // the items are to blame, or no other worker is left
			b.alone, b.limit = 0, 0
		}
	case b.alone > 0:
		b.failing, b.alone, b.limit = 0, 0, 0
	default:
		b.failing = 0
	}
	if b.good++; b.limit > 0 && b.good >= b.raise {
		b.limit, b.raise = b.limit+1, b.good+recovery
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
func (b *breaker) unavailable(id itemID) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blames(id) {
		return verdict{blamed: true}
	}
	if b.rests() {
		return verdict{}
	}
	b.row++
	return b.rest(b.row)
}

// succeedsElsewhere notes that another worker has succeeded with an item that failed in this one.
func (b *breaker) succeedsElsewhere() verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cured = true
	if b.failing < maxFailing || b.alone > 0 || b.rests() {
		return verdict{}
	}
	return b.restAlone()
}

// restAlone begins a rest of a function that fails in this worker alone. One call at a time tries it afterwards: if that
// fails too, and another worker has succeeded meanwhile, a longer rest follows. Otherwise the function is called freely again,
// so that items which fail everywhere do not slow the worker down, and neither does the end of all other workers.
func (b *breaker) restAlone() verdict {
	b.alone, b.cured = b.alone+1, false
	v := b.rest(b.alone)
	b.limit, b.raise = 1, math.MaxInt64
	return v
}

// rest begins a rest, the row-th in a row.
func (b *breaker) rest(row int) verdict {
	rest := longestRest
	if shift := row - 1; shift < 16 {
		rest = min(rest, firstRest<<shift)
	}
	b.until.Store(time.Now().Add(rest).UnixNano())
	if b.calls > 1 {
		b.limit, b.raise = b.calls/2, b.good+recovery
	}
	b.freed.Broadcast()
	warn := time.Since(b.told) > quiet
	if warn {
		b.told = time.Now()
	}
	return verdict{rest: rest, row: row, warn: warn}
}

// blames reports whether an item has been unavailable so often that it is the cause.
func (b *breaker) blames(id itemID) bool {
	times := b.items[id] + 1
	if times >= maxBlame && b.good > 0 {
		delete(b.items, id)
		return true
	}
	if len(b.items) >= maxBlamed {
		clear(b.items)
	}
	b.items[id] = times
	return false
}

// rested reports whether a rest has ended lately.
func (b *breaker) rested() bool {
	until := b.until.Load()
	return until > 0 && time.Since(time.Unix(0, until)) < 10*time.Second
}

// unavailable decides about the i-th item of a batch that a function could not run: it goes back, or the item
// is the cause.
func (s *slot) unavailable(r *route, b batch.Batch, i int, why string) (back bool) {
	v := r.breaker.unavailable(itemID{b.Source, b.First + int64(i)})
	if v.rest > 0 {
		s.worker.restUntilRetry(v.rest)
		switch {
		case v.warn:
			s.log.Warn("a function is unavailable in this worker; its items go back and count no attempt", "function", r.function.Name, "why", why)
		case v.row == longRow:
			s.log.Warn("a function is still unavailable in this worker, which tries it again every 30s or sooner", "function", r.function.Name, "why", why)
		default:
			s.log.Debug("a function is unavailable again", "function", r.function.Name, "rest", v.rest, "why", why)
		}
	}
	return !v.blamed
}

// succeedsElsewhere lets a function rest in this worker if each of its last calls here failed.
func (s *session) succeedsElsewhere(ctx context.Context, function string) {
	_, b := s.worker.function(function)
	if b == nil {
		return
	}
	v := b.succeedsElsewhere()
	if v.rest == 0 {
		return
	}
	s.worker.restUntilRetry(v.rest)
	if v.warn {
		s.log.WarnContext(ctx, "every call of a function fails in this worker, and another worker succeeds with the same items; "+
			"this worker calls it less often until a call succeeds", "function", function)
	}
}

// restUntilRetry lets each partition look for work again after a rest.
func (w *Worker) restUntilRetry(rest time.Duration) {
	for _, l := range w.partitions.sessions() {
		l.retries.in(rest)
	}
}

// tellOfSuccess tells the worker whose attempt of an entry failed that this worker has succeeded: once in a while for a
// route. Its caller has the turn to complete.
func (s *session) tellOfSuccess(ctx context.Context, d completion) {
	failed := d.replace.Entry.Failed
	if !d.cured || failed == s.id || time.Since(d.route.told) < firstRest/4 {
		return
	}
	d.route.told = time.Now()
	if err := s.client.Tell(ctx, failed, broker.Hint{Kind: broker.HintSuccess, What: d.route.function.Name}); err != nil {
		s.log.DebugContext(ctx, "tell a worker of a success", "worker", failed, "err", err)
	}
}

// pauseFor is how long a worker calls no function after it found a reason for that.
const pauseFor = time.Second

// pauses reports whether no call may begin now.
func (s *slot) pauses(r *route) bool {
	if s.worker.PauseIf == nil || s.worker.PauseIf() == nil {
		return false
	}
	r.breaker.pause(pauseFor)
	for _, l := range s.worker.partitions.sessions() {
		l.retries.in(pauseFor)
	}
	return true
}

// pause lets no call begin for a while.
func (b *breaker) pause(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until.Store(max(b.until.Load(), time.Now().Add(d).UnixNano()))
	b.freed.Broadcast()
}
