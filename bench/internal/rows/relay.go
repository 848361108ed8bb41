package rows

import (
	"context"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// relayRow is the caller's two channels with one goroutine between them for both stages: the upper
// bound for anything that takes and gives one int at a time.
func relayRow() Row {
	return Row{
		Name: "relay", Title: "the caller's two channels alone", Files: []string{"relay.go"}, First: 1_000_000,
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
