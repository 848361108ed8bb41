package competitors

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"time"

	"github.com/RichardKnop/machinery/v2"
	backend "github.com/RichardKnop/machinery/v2/backends/redis"
	"github.com/RichardKnop/machinery/v2/backends/result"
	broker "github.com/RichardKnop/machinery/v2/brokers/redis"
	"github.com/RichardKnop/machinery/v2/config"
	lock "github.com/RichardKnop/machinery/v2/locks/eager"
	"github.com/RichardKnop/machinery/v2/log"
	"github.com/RichardKnop/machinery/v2/tasks"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// machineryRow has a chain of two tasks for each int. It polls the results in the order of the
// chains.
func machineryRow() rows.Row {
	return rows.Row{
		Name: "machinery", Title: "machinery, chains of two", Lines: rows.UserLines(files, "machinery.go"), First: 1000, Redis: true,
		Open: func(_ context.Context, s *redisd.Server) (rows.Fleet, error) { return openMachinery(s.Address) },
		Backlog: func(_ context.Context, s *redisd.Server, n int) (rows.Stored, error) {
			server, err := newMachinery(s.Address)
			if err != nil {
				return rows.Stored{}, err
			}
			return rows.Store(n, func(i int) error {
				_, err := sendChain(server, i)
				return err
			}, func() error { return nil })
		},
	}
}

// user code: begin

type machineryFleet struct {
	server *machinery.Server
	worker *machinery.Worker
	failed chan error
}

func newMachinery(address string) (*machinery.Server, error) {
	log.Set(stdlog.New(io.Discard, "", 0))
	c := &config.Config{
		DefaultQueue: "machinery", ResultsExpireIn: 3600, NoUnixSignals: true, Redis: &config.RedisConfig{},
	}
	server := machinery.NewServer(c, broker.NewGR(c, []string{address}, 0), backend.NewGR(c, []string{address}, 0), lock.New())
	return server, server.RegisterTasks(map[string]any{
		"inc":    func(x int64) (int64, error) { return x + 1, nil },
		"double": func(x int64) (int64, error) { return 2 * x, nil },
	})
}

func openMachinery(address string) (*machineryFleet, error) {
	server, err := newMachinery(address)
	if err != nil {
		return nil, err
	}
	f := &machineryFleet{server, server.NewWorker("w", 2*work.PerStage), make(chan error, 1)}
	f.worker.LaunchAsync(f.failed)
	return f, nil
}

func (f *machineryFleet) Close() error {
	f.worker.Quit()
	return nil
}

func sendChain(server *machinery.Server, x int) (*result.ChainAsyncResult, error) {
	chain, err := tasks.NewChain(
		&tasks.Signature{Name: "inc", Args: []tasks.Arg{{Type: "int64", Value: int64(x)}}},
		&tasks.Signature{Name: "double"},
	)
	if err != nil {
		return nil, err
	}
	return server.SendChain(chain)
}

func (f *machineryFleet) Pipe(ctx context.Context) (work.Caller, error) {
	group, ctx, end := work.Crew(ctx)
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	sent := make(chan *result.ChainAsyncResult, work.Capacity)
	group.Go(func() error {
		defer close(sent)
		for x := range in {
			chain, err := sendChain(f.server, x)
			if err != nil {
				return err
			}
			select {
			case sent <- chain:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(out)
		for chain := range sent {
			values, err := chain.GetWithTimeout(10*time.Second, machineryPoll)
			if err != nil {
				return err
			}
			if len(values) != 1 {
				return errors.New("a chain without a result")
			}
			if err := work.Give(ctx, out, int(values[0].Int())); err != nil {
				return err
			}
		}
		return nil
	})
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: end}, nil
}

// user code: end

const machineryPoll = 5 * time.Millisecond
