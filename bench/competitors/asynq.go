package competitors

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// asynqOften is the poll interval of an idle asynq server, if it is not the default of a second.
const asynqOften = 5 * time.Millisecond

// asynqRow has a task for each stage, and a list for the results, which asynq does not have.
func asynqRow(name, title string, check time.Duration) rows.Row {
	return rows.Row{
		Name: name, Title: title, Lines: rows.UserLines(files, "asynq.go"), First: 2000, Redis: true,
		Open: func(_ context.Context, s *redisd.Server) (rows.Fleet, error) { return openAsynq(s.Address, check) },
		Backlog: func(ctx context.Context, s *redisd.Server, n int) (rows.Stored, error) {
			client := asynq.NewClient(asynq.RedisClientOpt{Addr: s.Address})
			return rows.Store(n, func(i int) error {
				_, err := client.EnqueueContext(ctx, asynqTask("inc", i))
				return err
			}, client.Close)
		},
	}
}

// user code: begin

type asynqFleet struct {
	client  *asynq.Client
	server  *asynq.Server
	results *redis.Client
}

func asynqTask(kind string, x int) *asynq.Task {
	return asynq.NewTask(kind, strconv.AppendInt(nil, int64(x), 10))
}

func openAsynq(address string, check time.Duration) (*asynqFleet, error) {
	f := &asynqFleet{
		client: asynq.NewClient(asynq.RedisClientOpt{Addr: address}),
		server: asynq.NewServer(asynq.RedisClientOpt{Addr: address}, asynq.Config{
			Concurrency: 2 * work.PerStage, TaskCheckInterval: check, LogLevel: asynq.FatalLevel,
		}),
		results: redis.NewClient(&redis.Options{Addr: address}),
	}
	mux := asynq.NewServeMux()
	mux.HandleFunc("inc", func(ctx context.Context, t *asynq.Task) error {
		x, err := strconv.Atoi(string(t.Payload()))
		if err != nil {
			return err
		}
		_, err = f.client.EnqueueContext(ctx, asynqTask("double", x+1))
		return err
	})
	mux.HandleFunc("double", func(ctx context.Context, t *asynq.Task) error {
		x, err := strconv.Atoi(string(t.Payload()))
		if err != nil {
			return err
		}
		return f.results.RPush(ctx, "results", 2*x).Err()
	})
	return f, f.server.Start(mux)
}

func (f *asynqFleet) Close() error {
	f.server.Shutdown()
	return errors.Join(f.client.Close(), f.results.Close())
}

func (f *asynqFleet) Pipe(ctx context.Context) (work.Caller, error) {
	group, ctx, end := work.Crew(ctx)
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	for range work.Producers {
		group.Go(func() error {
			for x := range in {
				if _, err := f.client.EnqueueContext(ctx, asynqTask("inc", x)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(out)
		return popResults(ctx, f.results, out)
	})
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: end}, nil
}

// popResults reads the list of results.
func popResults(ctx context.Context, c *redis.Client, out chan<- int) error {
	for {
		_, texts, err := c.BLMPop(ctx, time.Second, "left", 100, "results").Result()
		if errors.Is(err, redis.Nil) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return err
		}
		for _, text := range texts {
			x, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			if err := work.Give(ctx, out, x); err != nil {
				return err
			}
		}
	}
}

// user code: end
