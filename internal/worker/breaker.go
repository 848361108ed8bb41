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
	// firstRest is the first rest of a function that was unavailable. Each further rest is twice as
	// long, up to longestRest.
	firstRest   = 100 * time.Millisecond
	longestRest = 30 * time.Second
	// longRow is the number of rests without a success after which the worker warns again.
	longRow = 6
	// warnPause is the time between two warnings about a function.
	warnPause = time.Minute
	// recovery is the number of successful calls after which the limit of concurrent calls grows by
	// one.
	recovery = 32
	// maxBlame is the number of times that an item may be unavailable in a worker in which the
	// function has succeeded. Without a success in between, that takes 13 seconds.
	maxBlame = 8
	// maxFailing is the number of failed calls in a row after which the function rests, if other
	// workers succeed with the same items.
	maxFailing = 8
	// maxBlamed limits the items whose unavailability is counted.
	maxBlamed = 1024
)

// A breaker stops the calls of a function that is unavailable in this worker, or that fails only
// here.
type breaker struct {
	until atomic.Int64 // no call begins before, in ns since 1970; 0: at any time
	left  atomic.Int64 // calls that were left behind and still run

	mu         sync.Mutex
	freed      *sync.Cond     // a call has ended
	restsInRow int            // rests without a success in between
	limit      int            // calls at the same time; 0: any number
	calls      int            // that run now
	good       int64          // calls that succeeded
	raise      int64          // the limit grows when good reaches it
	warned     time.Time      // last warning of the worker
	items      map[itemID]int // number of times that each was unavailable

	failing       int  // calls in which every item failed, since the last success
	aloneRests    int  // rests because other workers succeed, since the last call without a limit
	othersSucceed bool // another worker has succeeded since the last of these rests began
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

// rests reports whether no call may begin now. A nil breaker never rests.
func (b *breaker) rests() bool {
	if b == nil {
		return false
	}
	until := b.until.Load()
	return until > 0 && time.Now().UnixNano() < until
}

// begin waits until one more call may run. It returns false if the function rests.
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

// end records the end of a call, with the number of items that ran and failed. It returns the rest
// that begins now.
func (b *breaker) end(ran, failed int) (rest time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls--
	b.freed.Broadcast()
	if ran == 0 {
		return 0
	}
	b.restsInRow = 0
	switch {
	case failed == ran:
		b.failing++
		switch {
		case b.aloneRests == 0 || b.rests():
		case b.othersSucceed: // a trial failed, and other workers still succeed
			rest = b.restAlone().rest
		default: // the items are to blame, or no other worker is left
			b.aloneRests, b.limit = 0, 0
		}
	case b.aloneRests > 0:
		b.failing, b.aloneRests, b.limit = 0, 0, 0
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
	rest   time.Duration // of the function, if it begins now; 0 otherwise
	row    int
	warn   bool // the last warning is longer ago than warnPause
}

// unavailable records that a call could not run an item.
func (b *breaker) unavailable(id itemID) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isToBlame(id) {
		return verdict{blamed: true}
	}
	if b.rests() {
		return verdict{}
	}
	b.restsInRow++
	return b.rest(b.restsInRow)
}

// succeedsElsewhere records that another worker has succeeded with an item that failed in this one.
func (b *breaker) succeedsElsewhere() verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.othersSucceed = true
	if b.failing < maxFailing || b.aloneRests > 0 || b.rests() {
		return verdict{}
	}
	return b.restAlone()
}

// restAlone begins a rest of a function that fails in this worker alone. Afterwards one call at a
// time tries it. If the trial fails too, and another worker has succeeded meanwhile, a longer rest
// follows. Otherwise the limit ends: items that fail everywhere, and the end of all other workers,
// do not slow this worker down.
func (b *breaker) restAlone() verdict {
	b.aloneRests, b.othersSucceed = b.aloneRests+1, false
	v := b.rest(b.aloneRests)
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
	warn := time.Since(b.warned) > warnPause
	if warn {
		b.warned = time.Now()
	}
	return verdict{rest: rest, row: row, warn: warn}
}

// isToBlame counts that an item was unavailable. It reports whether the item is the cause.
func (b *breaker) isToBlame(id itemID) bool {
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

// rested reports whether a rest has ended in the last 10 seconds.
func (b *breaker) rested() bool {
	until := b.until.Load()
	return until > 0 && time.Since(time.Unix(0, until)) < 10*time.Second
}

// unavailable decides about the i-th item of a batch for which a function is unavailable: it goes
// back, unless the item is the cause.
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

// succeedsElsewhere makes a function rest in this worker if its last calls here have failed.
func (s *session) succeedsElsewhere(ctx context.Context, function string) {
	_, b, _ := s.worker.function(function)
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

// restUntilRetry makes the fetcher of each partition look for work again after a rest.
func (w *Worker) restUntilRetry(rest time.Duration) {
	for _, l := range w.partitions.sessions() {
		l.retries.in(rest)
	}
}

// tellOfSuccess tells the worker in which an attempt of an entry failed that this worker has
// succeeded, at most once in firstRest/4 for a route. Its caller holds the token of committing.
func (s *session) tellOfSuccess(ctx context.Context, d completion) {
	failed := d.replace.Entry.Failed
	if !d.cured || failed == s.id || time.Since(d.route.successTold) < firstRest/4 {
		return
	}
	d.route.successTold = time.Now()
	if err := s.client.SendHint(ctx, failed, broker.Hint{Kind: broker.HintSuccess, What: d.route.function.Name}); err != nil {
		s.log.DebugContext(ctx, "tell a worker of a success", "worker", failed, "err", err)
	}
}

// pauseFor is the time without new calls after PauseIf has returned an error.
const pauseFor = time.Second

// pauses asks PauseIf. It reports whether no call may begin now.
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

// pause delays the next call.
func (b *breaker) pause(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until.Store(max(b.until.Load(), time.Now().Add(d).UnixNano()))
	b.freed.Broadcast()
}
