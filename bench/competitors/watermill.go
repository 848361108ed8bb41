package competitors

import (
	"context"
	"errors"
	"strconv"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// watermillRow has a router with several handlers a stage. Each handler has a subscriber of its own,
// because a subscriber holds one message at a time.
func watermillRow() rows.Row {
	return rows.Row{
		Name: "watermill", Title: "watermill, Redis Streams", Lines: rows.UserLines(files, "watermill.go"), First: 2000, Redis: true,
		Open: func(ctx context.Context, s *redisd.Server) (rows.Fleet, error) { return openWatermill(ctx, s.Address) },
		Backlog: func(_ context.Context, s *redisd.Server, n int) (rows.Stored, error) {
			publisher, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: s.Open()}, nil)
			if err != nil {
				return rows.Stored{}, err
			}
			return rows.Store(n, func(i int) error { return publisher.Publish("in", watermillMessage(i)) }, publisher.Close)
		},
	}
}

// user code: begin

type watermillFleet struct {
	address   string
	publisher *redisstream.Publisher
	router    *message.Router
	run       chan error
}

func watermillMessage(x int) *message.Message {
	return message.NewMessage(watermill.NewShortUUID(), strconv.AppendInt(nil, int64(x), 10))
}

func openWatermill(ctx context.Context, address string) (_ *watermillFleet, err error) {
	f := &watermillFleet{address: address, run: make(chan error, 1)}
	if f.publisher, err = redisstream.NewPublisher(redisstream.PublisherConfig{
		Client: redis.NewClient(&redis.Options{Addr: address}),
	}, nil); err != nil {
		return nil, err
	}
	if f.router, err = message.NewRouter(message.RouterConfig{}, watermill.NopLogger{}); err != nil {
		return nil, err
	}
	for range work.PerStage {
		if err := f.handle("in", "middle", func(x int) int { return x + 1 }); err != nil {
			return nil, err
		}
		if err := f.handle("middle", "out", func(x int) int { return 2 * x }); err != nil {
			return nil, err
		}
	}
	go func() { f.run <- f.router.Run(ctx) }()
	<-f.router.Running()
	return f, nil
}

func (f *watermillFleet) subscriber() (*redisstream.Subscriber, error) {
	return redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: redis.NewClient(&redis.Options{Addr: f.address}), ConsumerGroup: "w", DisableIndefiniteInitialBlock: true,
	}, nil)
}

func (f *watermillFleet) handle(from, to string, do func(int) int) error {
	subscriber, err := f.subscriber()
	if err != nil {
		return err
	}
	f.router.AddHandler(watermill.NewShortUUID(), from, subscriber, to, f.publisher,
		func(m *message.Message) ([]*message.Message, error) {
			x, err := strconv.Atoi(string(m.Payload))
			if err != nil {
				return nil, err
			}
			return []*message.Message{watermillMessage(do(x))}, nil
		})
	return nil
}

func (f *watermillFleet) Close() error {
	return errors.Join(f.router.Close(), <-f.run, f.publisher.Close())
}

func (f *watermillFleet) Pipe(ctx context.Context) (work.Caller, error) {
	subscriber, err := f.subscriber()
	if err != nil {
		return nil, err
	}
	group, ctx, end := work.Crew(ctx)
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	messages, err := subscriber.Subscribe(ctx, "out")
	if err != nil {
		return nil, errors.Join(err, end())
	}
	for range work.Producers {
		group.Go(func() error {
			for x := range in {
				if err := f.publisher.Publish("in", watermillMessage(x)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(out)
		for m := range messages {
			x, err := strconv.Atoi(string(m.Payload))
			if err != nil {
				return err
			}
			if err := work.Give(ctx, out, x); err != nil {
				return err
			}
			m.Ack()
		}
		return nil
	})
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: func() error {
		return errors.Join(end(), subscriber.Close())
	}}, nil
}

// user code: end
