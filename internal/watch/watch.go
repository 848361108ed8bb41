// Package watch keeps the newest state of a namespace for everything of a process that shows it: a
// page, metrics, a terminal. However many look, the namespace is read once.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/executor"
)

// The pauses between two reads.
const (
	Pause     = 2 * time.Second  // while a reader looks
	IdlePause = 10 * time.Second // otherwise
	markPause = 5 * time.Second  // between two marks for the workers
	// deniedPause is the time after which the Watcher asks again for what its Redis user may not do:
	// Redis writes each refusal into its log.
	deniedPause = 10 * time.Minute
	limit       = 5 * time.Second // of one read
	// lateAfter is the time after which a read that has not ended shows that Redis is away. The read
	// goes on: with Pause, an outage is shown within 5 seconds.
	lateAfter = 2 * time.Second
)

// A Watcher reads a namespace again and again.
type Watcher struct {
	inspector executor.Inspector
	log       *slog.Logger
	pace      time.Duration // between two reads while a reader looks
	looked    chan struct{} // has an element if a reader has begun to look
	end       context.CancelFunc
	done      chan struct{}

	// for the goroutine that reads:
	looker   *Looker
	nextMark time.Time // for the workers, not before

	mu      sync.Mutex
	view    View
	changed chan struct{} // closed by the next read
	looking int           // that have called Look and not ended
}

// Start begins to read by an inspector, which the caller closes after Close. The end of ctx ends the
// Watcher as well; Close waits for it.
func Start(ctx context.Context, inspector executor.Inspector, log *slog.Logger) *Watcher {
	return StartAt(ctx, Pause, inspector, log)
}

// StartAt begins to read as Start does, but with another pause while a reader looks. Tests of pages
// that are open for hours use it.
func StartAt(ctx context.Context, pace time.Duration, inspector executor.Inspector, log *slog.Logger) *Watcher {
	ctx, end := context.WithCancel(ctx)
	w := &Watcher{
		inspector: inspector, log: log, looker: NewLooker(inspector), pace: pace, looked: make(chan struct{}, 1), end: end, done: make(chan struct{}),
		changed: make(chan struct{}),
	}
	go w.run(ctx)
	return w
}

// Close ends the reads and waits for the current one.
func (w *Watcher) Close() {
	w.end()
	<-w.done
}

// Latest returns the newest view, and a channel that is closed by the next read, also by one that
// fails. It does not wait: before the first read, View.At is zero.
func (w *Watcher) Latest() (View, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view, w.changed
}

// First returns the newest view, and waits for the first read if there was none. Its error is that of
// ctx, or that of the first read.
func (w *Watcher) First(ctx context.Context) (View, error) {
	for {
		view, changed := w.Latest()
		if !view.At.IsZero() {
			return view, nil
		}
		if view.Err != nil {
			return View{}, view.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return View{}, context.Cause(ctx)
		case <-w.done:
			return View{}, executor.ErrClosed
		}
	}
}

// Look makes the Watcher read more often, and the workers show the call of each slot, until the
// caller calls the returned function.
func (w *Watcher) Look() (end func()) {
	w.mu.Lock()
	w.looking++
	w.mu.Unlock()
	select {
	case w.looked <- struct{}{}:
	default:
	}
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.looking--
	})
}

func (w *Watcher) run(ctx context.Context) {
	defer close(w.done)
	for {
		began := time.Now()
		w.read(ctx)
		if !w.pause(ctx, began) {
			return
		}
	}
}

// pause waits until the next read is due. It returns false if ctx has ended.
func (w *Watcher) pause(ctx context.Context, began time.Time) bool {
	for {
		pause := IdlePause
		if w.isLooked() {
			pause = w.pace
		}
		timer := time.NewTimer(time.Until(began.Add(pause)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
			return true
		case <-w.looked:
			timer.Stop()
		}
	}
}

func (w *Watcher) isLooked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looking > 0
}

// read reads the namespace once and shows the result to those who wait.
func (w *Watcher) read(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended := make(chan struct{})
	var late sync.WaitGroup
	late.Go(func() { w.tellLate(ended) })
	w.mark(limited)
	view, err := w.looker.Look(limited)
	close(ended)
	late.Wait()
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && (w.view.Err == nil || errors.Is(w.view.Err, errLate)) {
		w.log.WarnContext(ctx, "the namespace cannot be read; the last state stays", "err", err)
	}
	if err != nil {
		w.view.Err = err
	} else {
		w.view = view
	}
	w.show()
}

// errLate is the error of a view while a read has not ended for too long.
var errLate = fmt.Errorf("no answer for %v: %w", lateAfter, executor.ErrUnreachable)

// tellLate shows that Redis is away if a read has not ended for a while. Before the first view, the
// read itself tells.
func (w *Watcher) tellLate(ended <-chan struct{}) {
	timer := time.NewTimer(lateAfter)
	defer timer.Stop()
	select {
	case <-ended:
		return
	case <-timer.C:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.view.At.IsZero() && w.view.Err == nil {
		w.view.Err = errLate
		w.show()
	}
}

// show wakes those that wait for the next read. w.mu is held.
func (w *Watcher) show() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// mark makes the workers show all calls, while a reader looks. A Redis user that may only read does
// without.
func (w *Watcher) mark(ctx context.Context) {
	now := time.Now()
	if !w.isLooked() || now.Before(w.nextMark) {
		return
	}
	w.nextMark = now.Add(markPause)
	err := w.inspector.MarkWatched(ctx)
	if errors.Is(err, executor.ErrDenied) {
		w.nextMark = now.Add(deniedPause)
	}
	if err != nil {
		w.log.DebugContext(ctx, "the workers do not show short calls", "err", err)
	}
}
