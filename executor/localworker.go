package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

// fleet is the worker in this process, from the first Register on.
type fleet struct {
	worker *workers.Worker
	cancel context.CancelFunc
	run    errgroup.Group

	names sync.Map // of the functions that were registered, for other goroutines
}

// registered returns ErrFunctionNotRegistered if no worker can ever have a function, since
// no other process reaches an embedded broker. It returns ErrClosed for a closed Executor.
func (ex *Executor) registered(function string) error {
	if ex.parent != nil {
		return ex.parent.registered(function)
	}
	if _, known := ex.fleet.names.Load(function); known || ex.server == nil {
		return nil
	}
	if ex.tasks.over() {
		return ErrClosed
	}
	return fmt.Errorf("function %q: %w: the embedded broker runs only functions of this process, call Register with it first",
		function, ErrFunctionNotRegistered)
}

// register lets the worker run functions, and starts it with the first ones.
func (f *fleet) register(ctx context.Context, ex *Executor, functions []workers.Function) error {
	if err := f.start(ctx, ex, functions); err != nil {
		return err
	}
	for _, function := range functions {
		f.names.Store(function.Name(), nil)
	}
	return nil
}

// on lets a worker use a client that stays open when its Run ends.
func on(c *broker.Client) workers.Option {
	return func(o *worker.Options) error {
		o.Client = c
		return nil
	}
}

func (f *fleet) start(ctx context.Context, ex *Executor, functions []workers.Function) error {
	if f.worker != nil {
		return f.worker.Register(ctx, functions...)
	}
	w, err := workers.New("", on(ex.conn), workers.Concurrency(ex.concurrency), workers.Functions(functions...),
		workers.Logger(ex.log), workers.Lease(ex.lease), workers.DrainTimeout(0))
	if err != nil {
		return err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	f.run.Go(func() error {
		err := w.Run(running)
		ended <- err
		return err
	})
	select {
	case <-w.Ready(): //nolint:contextcheck // it does not wait
		f.worker, f.cancel = w, cancel
		return nil
	case err := <-ended:
		cancel()
		return err
	case <-ctx.Done():
		cancel()
		return errors.Join(context.Cause(ctx), <-ended)
	}
}

func (f *fleet) stop() error {
	if f.worker == nil {
		return nil
	}
	f.cancel()
	return f.run.Wait()
}
