package rows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// bridgeRow is dqbridge without options.
func bridgeRow() Row {
	return Row{
		Name: "redis", Title: "dqbridge, Redis", Lines: UserLines(files, "dqbridge.go", "fleet", "channels"), First: 300_000, Redis: true,
		Open:    func(ctx context.Context, s *redisd.Server) (Fleet, error) { return openBridge(ctx, s.URL()) },
		Backlog: bridgeBacklog,
	}
}

// apartRow is the same with a queue between the stages.
func apartRow() Row {
	return Row{
		Name: "apart", Title: "dqbridge, stages apart", Lines: UserLines(files, "dqbridge.go", "fleet", "channels"), First: 300_000, Redis: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			return openBridge(ctx, s.URL(), executor.NoFuse())
		},
	}
}

// embeddedRow has its broker in this process.
func embeddedRow() Row {
	return Row{
		Name: "embedded", Title: "dqbridge, embedded", Lines: UserLines(files, "dqbridge.go", "fleet", "channels"), First: 300_000,
		Open: func(ctx context.Context, _ *redisd.Server) (Fleet, error) { return openBridge(ctx, "") },
	}
}

// user code: begin channels

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

// fleet is an Executor with slots for both stages.
type fleet struct {
	ex   *executor.Executor
	opts []executor.MapOption
}

func (f *fleet) Close() error { return f.ex.Close() }

// user code: begin fleet

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

// slicesRow is dqbridge by the slice.
func slicesRow() Row {
	return Row{
		Name: "slices", Title: "dqbridge, Redis, slices", Lines: UserLines(files, "dqbridge.go", "fleet", "slices"), First: 300_000, Redis: true, Bulk: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			f, err := openBridge(ctx, s.URL())
			return sliceFleet{f}, err
		},
	}
}

type sliceFleet struct{ *fleet }

// user code: begin slices

// slice is the number of ints of a send.
const slice = 1024

func (f sliceFleet) Pipe(ctx context.Context) (work.Caller, error) {
	in := make(chan []int, 4)
	q, err := bridge.ScatterSlices(ctx, f.ex, in)
	if err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, Inc, q); err != nil {
		return nil, err
	}
	if q, err = executor.Map(ctx, Double, q); err != nil {
		return nil, err
	}
	out, err := bridge.GatherSlices(ctx, q)
	if err != nil {
		return nil, err
	}
	return &slicePipe{in, out}, nil
}

// user code: end

type slicePipe struct {
	in  chan<- []int
	out <-chan []bridge.Result[int]
}

func (p *slicePipe) Run(n int) (d work.Done, err error) {
	begin := time.Now()
	go func() {
		defer close(p.in)
		for from := 0; from < n; from += slice {
			s := make([]int, min(slice, n-from))
			for i := range s {
				s[i] = from + i
			}
			p.in <- s
		}
	}()
	t := work.NewTally(n)
	for results := range p.out {
		for _, r := range results {
			if r.Err != nil {
				return d, fmt.Errorf("an item: %w", r.Err)
			}
			t.Add(r.Value)
		}
	}
	return work.Done{Took: time.Since(begin), Ordered: t.Ordered()}, t.Err()
}

func (p *slicePipe) Trip(int) error { return errors.ErrUnsupported }

func (p *slicePipe) End() error {
	close(p.in)
	for results := range p.out {
		return fmt.Errorf("%d results too many", len(results))
	}
	return nil
}
