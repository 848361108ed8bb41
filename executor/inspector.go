package executor

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// An Inspector lists queues, stages, workers and functions. It only reads, so that a Redis user who may
// not change any key is enough for it. Its methods can be called from many
// goroutines. Close it.
type Inspector struct{ inspector }

// NewInspector connects to the Redis at an address, see New, and does not join it.
func NewInspector(ctx context.Context, redisURL string, opts ...Option) (*Inspector, error) {
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
	return &Inspector{inspector{c.Partitions(), s.lease, new(lifecycle)}}, nil
}

// Functions is that of an Executor.
func (o *Inspector) Functions(ctx context.Context) ([]FunctionInfo, error) {
	if err := o.check("functions"); err != nil {
		return nil, err
	}
	return o.functions(ctx)
}

// Workers is that of an Executor.
func (o *Inspector) Workers(ctx context.Context) ([]WorkerInfo, error) {
	if err := o.check("workers"); err != nil {
		return nil, err
	}
	return o.workers(ctx)
}

// Queues is that of an Executor.
func (o *Inspector) Queues(ctx context.Context) ([]QueueInfo, error) {
	if err := o.check("queues"); err != nil {
		return nil, err
	}
	return o.queues(ctx)
}

// Stages is that of an Executor.
func (o *Inspector) Stages(ctx context.Context) ([]StageInfo, error) {
	if err := o.check("stages"); err != nil {
		return nil, err
	}
	return o.stages(ctx)
}

// Close ends the connection. Calls that are under way, and all later ones, return ErrClosed. Closing
// again has no effect.
func (o *Inspector) Close() error {
	if err := o.check("close"); err != nil {
		return err
	}
	if !o.tasks.close() {
		return nil
	}
	return o.parts[0].Close()
}

// check returns an error if NewInspector has not made the Inspector.
func (o *Inspector) check(call string) error {
	if o == nil || o.tasks == nil {
		return named(call, errNoInspector)
	}
	return nil
}
