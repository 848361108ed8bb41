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
)

// slicesRow is dqbridge by the slice.
func slicesRow() Row {
	return Row{
		Name: "slices", Title: "dqbridge, Redis, slices", Lines: UserLines(files, "fleet.go", "slices.go"), First: 300_000, Redis: true, Bulk: true,
		Open: func(ctx context.Context, s *redisd.Server) (Fleet, error) {
			f, err := openBridge(ctx, s.URL())
			return sliceFleet{f}, err
		},
	}
}

type sliceFleet struct{ *fleet }

// user code: begin

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
