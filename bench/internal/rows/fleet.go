package rows

import (
	"context"
	"errors"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// fleet is an Executor with slots for both stages.
type fleet struct {
	ex   *executor.Executor
	opts []executor.MapOption
}

func (f *fleet) Close() error { return f.ex.Close() }

// user code: begin

// Inc and Double are the stages as functions of dqbridge.
var (
	Inc    = workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	Double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
)

func openBridge(ctx context.Context, url string, opts ...executor.MapOption) (*fleet, error) {
	ex, err := executor.New(ctx, url)
	if err != nil {
		return nil, err
	}
	if err := ex.Register(Inc, Double); err != nil {
		return nil, errors.Join(err, ex.Close())
	}
	return &fleet{ex, opts}, nil
}

// user code: end
