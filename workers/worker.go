package workers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/worker"
)

const defaultDrain = 30 * time.Second

// A Worker runs functions for all programs that use the same Redis and namespace. Its methods are
// safe for concurrent use.
type Worker struct{ engine *worker.Worker }

var (
	errNoWorker  = errors.New("workers: the Worker is nil or a zero value: make it with workers.New")
	errNoContext = errors.New("workers: the context is nil")
)

// check returns an error for a Worker that New has not made, and for a nil context.
func (w *Worker) check(ctx context.Context) error {
	switch {
	case w == nil || w.engine == nil:
		return errNoWorker
	case ctx == nil:
		return errNoContext
	}
	return nil
}

// New returns a Worker for the Redis at an address; executor.New lists the forms of an address. Run
// connects. An unknown form and an empty address are executor.ErrInvalidURL: no other process could
// reach an embedded broker.
func New(redisURL string, opts ...Option) (*Worker, error) {
	o := worker.Options{
		Connection: connection.Default(), Concurrency: runtime.GOMAXPROCS(0), Drain: defaultDrain,
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, errors.New("workers: New: one of the options is nil")
		}
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	w, err := worker.New(redisURL, o)
	if err != nil {
		return nil, err
	}
	return &Worker{w}, nil
}

// runnable returns the definitions of functions that a worker can run.
func runnable(functions []Function) (all []*runner.Function, err error) {
	defer func() {
		if recover() != nil { // a nil *Func, or a nil Function in a struct
			err = errors.New("workers: a nil function")
		}
	}()
	for _, f := range functions {
		if f == nil {
			return nil, errors.New("workers: a nil function")
		}
		if err := f.Err(); err != nil {
			return nil, fmt.Errorf("workers: %w", err)
		}
		if f.erased().Links != nil {
			return nil, fmt.Errorf("workers: function %q is a chain: a worker runs its functions, each of which it needs", f.Name())
		}
		if f.erased().New == nil {
			return nil, fmt.Errorf("workers: function %q is a handle made by Remote: a worker needs one made by Define", f.Name())
		}
		all = append(all, f.erased())
	}
	return all, nil
}

// Register adds functions, also while Run runs: all of them, or none if one is refused. It blocks
// for two round trips to each partition. It returns an error after the end of Run, and
// executor.ErrDenied if the Redis user may not change the card of the worker.
func (w *Worker) Register(ctx context.Context, functions ...Function) error {
	if err := w.check(ctx); err != nil {
		return err
	}
	added, err := runnable(functions)
	if err != nil {
		return err
	}
	return w.engine.Register(ctx, added)
}

// Ready returns a channel that Run closes when other processes know the worker in every partition.
func (w *Worker) Ready() <-chan struct{} {
	if w.check(context.Background()) != nil { //nolint:forbidigo // it takes none
		return nil
	}
	return w.engine.Ready()
}

// Run runs functions in all partitions until ctx ends. Then it takes no more entries, waits for
// running calls up to DrainTimeout, requeues entries whose call has not begun, leaves, and returns
// nil. It returns executor.ErrUnreachable if no server answers within 5 seconds of the start,
// executor.ErrUnusable or executor.ErrDenied if Redis refuses. Later it waits until Redis answers again. A second call
// returns an error.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.check(ctx); err != nil {
		return err
	}
	return w.engine.Run(ctx)
}
