package executor

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/workers"
)

// fleet is the worker in this process, from the first Register on.
type fleet struct {
	worker *workers.Worker
	cancel context.CancelFunc
	run    errgroup.Group
}

func (f *fleet) register(ctx context.Context, ex *Executor, functions []workers.Function) error {
	if f.worker != nil {
		return f.worker.Register(ctx, functions...)
	}
	w, err := workers.New("", workers.On(ex.conn), workers.Concurrency(ex.hands), workers.Functions(functions...),
		workers.Logger(ex.log), workers.Lease(ex.lease), workers.Drain(0))
	if err != nil {
		return err
	}
	ctx, f.cancel = context.WithCancel(ctx)
	ended := make(chan error, 1)
	f.run.Go(func() error {
		err := w.Run(ctx)
		ended <- err
		return err
	})
	select {
	case <-w.Ready():
		f.worker = w
		return nil
	case err := <-ended:
		return err
	}
}

func (f *fleet) stop() error {
	if f.worker == nil {
		return nil
	}
	f.cancel()
	return f.run.Wait()
}
