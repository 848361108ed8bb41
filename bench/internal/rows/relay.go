package rows

import (
	"context"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// relayRow has the caller's two channels and both stages in one goroutine between them. It is the
// bound for a pipeline with an int a send.
func relayRow() Row {
	return Row{
		Name: "relay", Title: "the caller's two channels alone", Lines: UserLines(files, "relay.go"), First: 1_000_000,
		Open: func(context.Context, *redisd.Server) (Fleet, error) { return relay{}, nil },
	}
}

type relay struct{}

func (relay) Close() error { return nil }

// user code: begin

func (relay) Pipe(context.Context) (work.Caller, error) {
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	go func() {
		defer close(out)
		for x := range in {
			out <- 2 * (x + 1)
		}
	}()
	return &work.Pipe[int]{In: in, Out: out, Ends: true, Value: work.Plain, Close: func() error { return nil }}, nil
}

// user code: end
