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

// A Worker runs functions for all programs that use the same Redis and namespace. Its methods
// can be called from many goroutines.
type Worker struct{ engine *worker.Worker }

var (
	errNoWorker  = errors.New("workers: the Worker is nil or a zero value: make it with workers.New")
	errNoContext = errors.New("workers: the context is nil")
)

// check returns an error for arguments that a method of a Worker cannot use.
func (w *Worker) check(ctx context.Context) error {
	switch {
	case w == nil || w.engine == nil:
		return errNoWorker
	case ctx == nil:
		return errNoContext
	}
	return nil
}

// New makes a worker for the Redis at an address, which Run connects to; see
// executor.New for the forms of an address. An empty one is ErrInvalidURL, since no
// other process would reach an embedded broker. The functions must have been made
// by Define or DefineBatch, each name once.
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

// runnable returns functions that a worker can run.
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
		if f.erased().New == nil {
			return nil, fmt.Errorf("workers: function %q is a handle made by Remote: a worker needs one made by Define", f.Name())
		}
		all = append(all, f.erased())
	}
	return all, nil
}

// Register adds functions, also to a worker that runs: all of them, or none if one is refused. It is
// an error after Run has ended.
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

// Ready is closed when Run has made the worker known to others.
func (w *Worker) Ready() <-chan struct{} {
	if w.check(context.Background()) != nil { //nolint:forbidigo // it takes none
		return nil
	}
	return w.engine.Ready()
}

// Run works in all partitions until ctx is done. Then it takes no more, lets the functions end
// that run, gives back entries that have not begun, leaves and returns nil. It returns ErrUnreachable
// or ErrUnusable if Redis does not answer or refuses within 5 seconds of the start; later it waits.
// A second call is an error.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.check(ctx); err != nil {
		return err
	}
	return w.engine.Run(ctx)
}
