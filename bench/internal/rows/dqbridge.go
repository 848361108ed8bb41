package rows

import (
	"context"
	"errors"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// bridgeRow is dqbridge without options.
func bridgeRow() Row {
	return Row{
		Name: "redis", Title: "dqbridge, Redis", Lines: UserLines(files, "fleet.go", "dqbridge.go"), First: 300_000, Redis: true,
		Open:    func(ctx context.Context, s *redisd.Server) (Fleet, error) { return openBridge(ctx, s.URL()) },
		Backlog: bridgeBacklog,
	}
}

// apartRow is the same with a queue between the stages.
func apartRow() Row {
	return Row{
		Name: "apart", Title: "dqbridge, stages apart", Lines: UserLines(files, "fleet.go", "dqbridge.go"), First: 300_000, Redis: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			return openBridge(ctx, s.URL(), executor.NoFuse())
		},
	}
}

// embeddedRow has its broker in this process.
func embeddedRow() Row {
	return Row{
		Name: "embedded", Title: "dqbridge, embedded", Lines: UserLines(files, "fleet.go", "dqbridge.go"), First: 300_000,
		Open: func(ctx context.Context, _ *redisd.Server) (Fleet, error) { return openBridge(ctx, "") },
	}
}

// user code: begin

func (f *fleet) Pipe(ctx context.Context) (work.Caller, error) {
	in := make(chan int, work.Capacity)
	q, err := bridge.Scatter(ctx, f.ex, in)
	if err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, Inc, q, f.opts...); err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, Double, q, f.opts...); err != nil {
		return nil, err
	}
	out, err := bridge.Gather(ctx, q)
	if err != nil {
		return nil, err
	}
	return &work.Pipe[bridge.Result[int]]{In: in, Out: out, Ends: true, Value: value, Close: func() error { return nil }}, nil
}

// user code: end

func value(r bridge.Result[int]) (int, error) { return r.Value, r.Err }

// bridgeBacklog scatters into a queue without a stage.
func bridgeBacklog(ctx context.Context, s *redisd.Server, n int) (h Stored, err error) {
	ex, err := executor.New(ctx, s.URL())
	if err != nil {
		return h, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ex.Close())
		}
	}()
	in := make(chan int, work.Capacity)
	if _, err = bridge.Scatter(ctx, ex, in); err != nil {
		return h, err
	}
	work.Feed(in, n)
	return Stored{Release: ex.Close}, ex.Flush(ctx)
}
