package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// An Observer lists what there is. It only reads, so that a Redis user who may
// change nothing is enough for it. Its methods can be called from many
// goroutines. Close it.
type Observer struct{ lists }

// Observe connects to the Redis at an address, see New, and joins nothing.
func Observe(ctx context.Context, redisURL string, opts ...Option) (*Observer, error) {
	if ctx == nil {
		return nil, fmt.Errorf("observe: %w", errNoContext)
	}
	s, err := settingsOf("observe", opts)
	if err != nil {
		return nil, err
	}
	s.connection.Log = s.log
	c, err := broker.Open(redisURL, s.connection)
	if err != nil {
		return nil, err
	}
	if err = c.Connect(ctx, pingLimit); err != nil {
		_ = c.Close()
		return nil, err
	}
	return &Observer{lists{c.Partitions(), s.lease, new(tasks)}}, nil
}

// Functions is that of an Executor.
func (o *Observer) Functions(ctx context.Context) ([]FunctionInfo, error) {
	if err := o.check("functions"); err != nil {
		return nil, err
	}
	return o.functions(ctx)
}

// Workers is that of an Executor.
func (o *Observer) Workers(ctx context.Context) ([]WorkerInfo, error) {
	if err := o.check("workers"); err != nil {
		return nil, err
	}
	return o.workers(ctx)
}

// Queues is that of an Executor.
func (o *Observer) Queues(ctx context.Context) ([]QueueInfo, error) {
	if err := o.check("queues"); err != nil {
		return nil, err
	}
	return o.queues(ctx)
}

// Stages is that of an Executor.
func (o *Observer) Stages(ctx context.Context) ([]StageInfo, error) {
	if err := o.check("stages"); err != nil {
		return nil, err
	}
	return o.stages(ctx)
}

// Close ends the connection. Calls that are under way, and all later ones, return ErrClosed. Closing
// again does nothing.
func (o *Observer) Close() error {
	if err := o.check("close"); err != nil {
		return err
	}
	if !o.tasks.close() {
		return nil
	}
	return o.parts[0].Close()
}

// check returns an error if Observe has not made the Observer.
func (o *Observer) check(call string) error {
	if o == nil || o.tasks == nil {
		return named(call, errNoObserver)
	}
	return nil
}
