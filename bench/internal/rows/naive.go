package rows

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// naiveRow has an item a command.
func naiveRow() Row {
	return Row{
		Name: "naive", Title: "by hand, an item a command", Lines: UserLines(files, "naive.go"), First: 1000, Redis: true,
		Open:    func(ctx context.Context, s *redisd.Server) (Fleet, error) { return openNaive(ctx, s.Open()) },
		Backlog: naiveBacklog,
	}
}

func naiveBacklog(ctx context.Context, s *redisd.Server, n int) (Stored, error) {
	f, err := openNaive(ctx, s.Open())
	if err != nil {
		return Stored{}, err
	}
	return Store(n, func(i int) error { return f.add(ctx, "n0", i) }, f.Close)
}

// user code: begin

type naive struct{ client *redis.Client }

func openNaive(ctx context.Context, client *redis.Client) (*naive, error) {
	for _, stream := range []string{"n0", "n1", "n2"} {
		if err := client.XGroupCreateMkStream(ctx, stream, "w", "0").Err(); err != nil {
			return nil, errors.Join(err, client.Close())
		}
	}
	return &naive{client}, nil
}

func (f *naive) Close() error { return f.client.Close() }

func (f *naive) add(ctx context.Context, stream string, x int) error {
	return f.client.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{"x", x}}).Err()
}

// each reads the ints of a stream one by one.
func (f *naive) each(ctx context.Context, stream string, do func(x int) error) error {
	for {
		streams, err := f.client.XReadGroup(ctx, &redis.XReadGroupArgs{
			Group: "w", Consumer: "c", Streams: []string{stream, ">"}, Count: 1, Block: handBlock,
		}).Result()
		if errors.Is(err, redis.Nil) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return err
		}
		m := streams[0].Messages[0]
		text, _ := m.Values["x"].(string)
		x, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := do(x); err != nil {
			return err
		}
		if err := f.client.XAck(ctx, stream, "w", m.ID).Err(); err != nil {
			return err
		}
		if err := f.client.XDel(ctx, stream, m.ID).Err(); err != nil {
			return err
		}
	}
}

func (f *naive) Pipe(ctx context.Context) (work.Caller, error) {
	group, ctx, end := work.Crew(ctx)
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	group.Go(func() error {
		for x := range in {
			if err := f.add(ctx, "n0", x); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		return f.each(ctx, "n0", func(x int) error { return f.add(ctx, "n1", x+1) })
	})
	group.Go(func() error {
		return f.each(ctx, "n1", func(x int) error { return f.add(ctx, "n2", 2*x) })
	})
	group.Go(func() error {
		defer close(out)
		return f.each(ctx, "n2", func(x int) error { return work.Give(ctx, out, x) })
	})
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: end}, nil
}

// user code: end
