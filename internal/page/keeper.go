package page

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// A state is a view of the namespace, and all that pages derive from it and from earlier ones. It
// does not change.
type state struct {
	watch.View
	number   int64 // of the state, from 1
	flows    []inspect.Flow
	findings []doctor.Finding
	urgent   []doctor.Finding          // warnings and failures, the failures first
	trends   map[flowKey][]float64     // rates of the flows over the last minutes
	work     map[string]workerWork     // by worker
	calls    map[string][]recordedCall // by worker
}

// A keeper derives a state from each view of a Watcher.
type keeper struct {
	watcher *watch.Watcher
	end     context.CancelFunc
	atEnd   func(func()) (stop func() bool) // calls a function when the keeper ends, unless it is stopped
	done    chan struct{}
	past    past // for the goroutine of the keeper

	mu      sync.Mutex
	latest  *state
	changed chan struct{} // closed by the next state
}

// keep begins to follow a Watcher.
func keep(ctx context.Context, watcher *watch.Watcher) *keeper {
	ctx, end := context.WithCancel(ctx)
	k := &keeper{watcher: watcher, end: end, done: make(chan struct{}), changed: make(chan struct{}), past: newPast()}
	k.atEnd = func(do func()) func() bool { return context.AfterFunc(ctx, do) }
	go k.run(ctx)
	return k
}

func (k *keeper) close() {
	k.end()
	<-k.done
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	for {
		view, changed := k.watcher.Latest()
		if !view.At.IsZero() || view.Err != nil {
			k.publish(view)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// publish derives the state of a view and wakes those that wait for it.
func (k *keeper) publish(view watch.View) {
	k.mu.Lock()
	before := k.latest
	k.mu.Unlock()
	var s *state
	if before != nil && before.At.Equal(view.At) { // the read has failed: only the error is new
		again := *before
		s = &again
		s.View = view
	} else {
		s = k.past.derive(view)
	}
	if before != nil {
		s.number = before.number
	}
	s.number++
	k.mu.Lock()
	defer k.mu.Unlock()
	k.latest = s
	close(k.changed)
	k.changed = make(chan struct{})
}

// now returns the newest state, nil before the first, and a channel that is closed by the next one.
func (k *keeper) now() (*state, <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.latest, k.changed
}

// first returns the newest state that was read, and waits for one.
func (k *keeper) first(ctx context.Context) (*state, error) {
	for {
		s, changed := k.now()
		switch {
		case s == nil:
		case !s.At.IsZero():
			return s, nil
		case s.Err != nil:
			return nil, s.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-k.done:
			return nil, executor.ErrClosed
		}
	}
}

// histories keeps the histories of stages for as long as a state is the newest one, so that many
// readers of a page cost one read.
type histories struct {
	mu     sync.Mutex
	number int64
	known  map[string]inspect.History
}

// history returns the past work on a stage.
func (p *Page) history(ctx context.Context, s *state, stage string) (inspect.History, error) {
	h := &p.histories
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.number != s.number {
		h.number, h.known = s.number, map[string]inspect.History{}
	}
	if known, ok := h.known[stage]; ok || s.Err != nil {
		return known, nil
	}
	found, err := p.inspector.History(ctx, stage)
	if err != nil {
		return inspect.History{}, err
	}
	h.known[stage] = found
	return found, nil
}

// since returns the time from one time to another, 0 if one is not known.
func since(now, then time.Time) time.Duration {
	if then.IsZero() || now.IsZero() {
		return 0
	}
	return max(0, now.Sub(then))
}

// stageOf returns the stage of an id.
func (s *state) stageOf(id string) (inspect.Stage, bool) {
	i := slices.IndexFunc(s.Snapshot.Stages, func(st inspect.Stage) bool { return st.ID == id })
	if i < 0 {
		return inspect.Stage{}, false
	}
	return s.Snapshot.Stages[i], true
}
