package worker

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A Tuning has the settings of a Worker that may change while it runs. It serves one Worker after
// another. Its methods can be called from many goroutines.
type Tuning struct {
	mu          sync.Mutex
	concurrency int
	limits      map[string]int
	worker      *Worker // the last one; nil: none so far
}

// NewTuning returns a Tuning with the number of slots and, by the name of the function, the number of
// slots in which a function may run at once.
func NewTuning(concurrency int, limits map[string]int) *Tuning {
	return &Tuning{concurrency: concurrency, limits: maps.Clone(limits)}
}

// attach makes w the Worker of t.
func (t *Tuning) attach(w *Worker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.worker = w
	w.concurrency.Store(int64(t.concurrency))
	w.limit(t.limits)
}

// Set changes the settings. Running calls go on, also those above a lower number. A blocked read of
// the Worker ends, and other processes see the new concurrency.
func (t *Tuning) Set(ctx context.Context, concurrency int, limits map[string]int) error {
	t.mu.Lock()
	t.concurrency, t.limits = concurrency, maps.Clone(limits)
	w := t.worker
	if w != nil {
		w.concurrency.Store(int64(concurrency))
		w.partitions.resize(concurrency)
		w.limit(t.limits)
	}
	t.mu.Unlock()
	if w == nil {
		return nil
	}
	var failed error
	for _, s := range w.partitions.sessions() {
		failed = errors.Join(failed, s.client.Join(ctx, broker.RoleWorker, s.id, w.card()))
		s.wake(ctx, "")
	}
	return failed
}

// limit sets the limits of functions; one without a limit here has that of its definition.
func (w *Worker) limit(limits map[string]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits = limits
	for name := range w.functions {
		w.setLimit(name)
	}
}

// setLimit sets the limit of one function. The caller holds w.mu.
func (w *Worker) setLimit(name string) {
	limit, tuned := w.limits[name]
	if !tuned {
		limit = w.functions[name].Concurrency
	}
	w.limiters[name].limit.Store(int64(limit))
}

// A gate lets a bounded number of slots work at once. The bound may change.
type gate struct {
	mu          sync.Mutex
	room        sync.Cond
	limit, used int
}

func newGate(limit int) *gate {
	g := &gate{limit: limit}
	g.room.L = &g.mu
	return g
}

// enter waits until one more slot may work.
func (g *gate) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.used >= g.limit {
		g.room.Wait()
	}
	g.used++
}

func (g *gate) exit() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.used--
	g.room.Signal()
}

func (g *gate) resize(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = limit
	g.room.Broadcast()
}

// free returns how many more slots may work; it is negative after the bound was lowered.
func (g *gate) free() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limit - g.used
}
