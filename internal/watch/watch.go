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
	"github.com/dqbridge/dqbridge/inspect"
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
)

// A View is the state of a namespace as the last successful read has found it.
type View struct {
	Snapshot inspect.Snapshot
	Errors   []inspect.ErrorGroup
	Server   inspect.Server
	// ServerErr is why Server could not be read, nil if it was.
	ServerErr error
	// At is when the read ended, by the clock of this process. It is zero before the first one.
	At time.Time
	// Err is why the last read has failed, nil if it has not. The rest is then that of an earlier one.
	Err error
}

// A Watcher reads a namespace again and again.
type Watcher struct {
	inspector executor.Inspector
	log       *slog.Logger
	looked    chan struct{} // has an element if a reader has begun to look
	end       context.CancelFunc
	done      chan struct{}

	// for the goroutine that reads:
	nextMark time.Time // for the workers, not before
	nextInfo time.Time // of the server, not before

	mu      sync.Mutex
	view    View
	changed chan struct{} // closed by the next read
	looking int           // that have called Look and not ended
}

// Start begins to read by an inspector, which the caller closes after Close. The end of ctx ends the
// Watcher as well; Close waits for it.
func Start(ctx context.Context, inspector executor.Inspector, log *slog.Logger) *Watcher {
	ctx, end := context.WithCancel(ctx)
	w := &Watcher{inspector: inspector, log: log, looked: make(chan struct{}, 1), end: end, done: make(chan struct{}), changed: make(chan struct{})}
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
			pause = Pause
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
	w.mark(limited)
	view, err := w.look(limited)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.view.Err == nil {
		w.log.WarnContext(ctx, "the namespace cannot be read; the last state stays", "err", err)
	}
	if err != nil {
		w.view.Err = err
	} else {
		w.view = view
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *Watcher) look(ctx context.Context) (view View, err error) {
	if view.Snapshot, err = w.inspector.Snapshot(ctx); err != nil {
		return view, err
	}
	if view.Errors, err = w.inspector.Errors(ctx); err != nil {
		return view, err
	}
	view.Server, view.ServerErr = w.server(ctx)
	view.At = time.Now()
	return view, nil
}

// server reads the state of the server, unless that was denied lately.
func (w *Watcher) server(ctx context.Context) (inspect.Server, error) {
	now := time.Now()
	if now.Before(w.nextInfo) {
		return inspect.Server{}, fmt.Errorf("state of the server: %w", executor.ErrDenied)
	}
	server, err := w.inspector.Server(ctx)
	if errors.Is(err, executor.ErrDenied) {
		w.nextInfo = now.Add(deniedPause)
	}
	return server, err
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
