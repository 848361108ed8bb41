package rows

import (
	"context"
	"sync"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// channelsRow is the pipeline of a program without dqbridge: several goroutines a stage, an int a
// send.
func channelsRow() Row {
	return Row{
		Name: "channels", Title: "Go channels, 4 + 4 goroutines", Lines: UserLines(files, "channels.go", "channels"), First: 1_000_000,
		Open: func(context.Context, *redisd.Server) (Fleet, error) { return channels{}, nil },
	}
}

type channels struct{}

func (channels) Close() error { return nil }

// user code: begin channels

func (channels) Pipe(context.Context) (work.Caller, error) {
	in, incremented := make(chan int, work.Capacity), make(chan int, work.Capacity)
	doubled := make(chan int, work.Capacity)
	go stage(in, incremented, func(x int) int { return x + 1 })
	go stage(incremented, doubled, func(x int) int { return 2 * x })
	return &work.Pipe[int]{In: in, Out: doubled, Ends: true, Value: work.Plain, Close: func() error { return nil }}, nil
}

func stage(in <-chan int, out chan<- int, f func(int) int) {
	defer close(out)
	var group sync.WaitGroup
	for range work.PerStage {
		group.Go(func() {
			for x := range in {
				out <- f(x)
			}
		})
	}
	group.Wait()
}

// user code: end

// relayRow has the caller's two channels and both stages in one goroutine between them. It is the
// bound for a pipeline with an int a send.
func relayRow() Row {
	return Row{
		Name: "relay", Title: "the caller's two channels alone", Lines: UserLines(files, "channels.go", "relay"), First: 1_000_000,
		Open: func(context.Context, *redisd.Server) (Fleet, error) { return relay{}, nil },
	}
}

type relay struct{}

func (relay) Close() error { return nil }

// user code: begin relay

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
