package worker

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// A Tuning has the settings of a Worker that may change while it runs. It serves one Worker after
// another. Its methods can be called from many goroutines.
type Tuning struct {
	mu          sync.Mutex
	concurrency int
	limits      map[string]int
	functions   []*runner.Function // nil: those of the Worker
	worker      *Worker            // the last one; nil: none so far
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
	if t.functions != nil {
		w.offer(t.functions)
	}
	w.limit(t.limits)
}

// Set changes the settings. Running calls go on, also those above a lower number. A blocked read of
// the Worker ends, and other processes see the new concurrency.
//
// functions, unless it is nil, replaces all functions, whose names differ. A call that runs goes on with
// its definition to the end of its item. Of a function that is missing, no other item begins.
func (t *Tuning) Set(ctx context.Context, concurrency int, limits map[string]int, functions []*runner.Function) error {
	t.mu.Lock()
	t.concurrency, t.limits = concurrency, maps.Clone(limits)
	if functions != nil {
		t.functions = functions
	}
	w := t.worker
	if w != nil {
		w.concurrency.Store(int64(concurrency))
		w.partitions.resize(concurrency)
		if functions != nil {
			w.offer(functions)
		}
		w.limit(t.limits)
	}
	t.mu.Unlock()
	if w == nil {
		return nil
	}
	var failed error
	for _, s := range w.partitions.sessions() {
		failed = errors.Join(failed, s.client.Join(ctx, broker.RoleWorker, s.id, w.card()))
		if functions != nil { // its fetcher looks at the stages again
			failed = errors.Join(failed, s.client.SendHint(ctx, s.id, broker.Hint{Kind: broker.HintStages}))
			continue
		}
		s.wake(ctx, "")
	}
	return failed
}

// offer replaces the functions.
func (w *Worker) offer(functions []*runner.Function) {
	w.mu.Lock()
	defer w.mu.Unlock()
	offered, breakers := make(map[string]*runner.Function, len(functions)), make(map[*runner.Function]*breaker, len(functions))
	for _, f := range functions {
		offered[f.Name] = f
		if breakers[f] = w.breakers[f]; breakers[f] == nil {
			breakers[f] = newBreaker()
		}
		if w.limiters[f.Name] == nil {
			w.limiters[f.Name] = new(limiter)
		}
	}
	w.functions, w.breakers = offered, breakers
	w.offers.Add(1)
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
