package executor

import (
	"context"

	"github.com/dqbridge/dqbridge/inspect"
)

// Server reads the state of the server of the first partition, in two round trips. Errors:
// ErrDenied if the Redis user may not call INFO, and ErrClosed.
func (ex *Executor) Server(ctx context.Context) (inspect.Server, error) {
	if err := ex.check("server"); err != nil {
		return inspect.Server{}, err
	}
	return ex.inspector.Server(ctx)
}

// Server reads what Executor.Server does.
func (i inspector) Server(ctx context.Context) (info inspect.Server, err error) {
	ctx, end, err := i.tasks.begin(ctx, "server")
	if err != nil {
		return inspect.Server{}, err
	}
	defer end(&err)
	s, err := i.parts[0].Server(ctx)
	return inspect.Server(s), err
}
