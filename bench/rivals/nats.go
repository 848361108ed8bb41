package rivals

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/role"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// natsRow has a stream between two stages, with asynchronous publishing. A message is acknowledged
// when its successor is stored.
func natsRow(name, title, storage string) rows.Row {
	kind := jetstream.FileStorage
	if storage == "memory" {
		kind = jetstream.MemoryStorage
	}
	return rows.Row{
		Name: name, Title: title, Files: []string{"nats.go"}, Code: files, First: 10_000,
		Open: func(ctx context.Context, _ *redisd.Server) (rows.Fleet, error) {
			f, err := serveNATS(ctx, kind)
			if err != nil {
				return nil, err
			}
			if err := f.work(ctx); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return f, nil
		},
		Backlog: func(ctx context.Context, _ *redisd.Server, n int) (h rows.Held, err error) {
			f, err := serveNATS(ctx, kind)
			if err != nil {
				return h, err
			}
			h.Bytes, err = f.backlog(ctx, n)
			h.Release = f.Close
			return h, err
		},
	}
}

// serveNATS starts a server and connects to it.
func serveNATS(ctx context.Context, kind jetstream.StorageType) (*natsFleet, error) {
	process, err := role.Start(ctx, NATSRole, nil)
	if err != nil {
		return nil, err
	}
	f, err := openNATS(ctx, process.Answer, kind)
	if err = errors.Join(err, process.Go()); err != nil {
		_, stopped := process.Stop()
		return nil, errors.Join(err, stopped)
	}
	f.process = process
	return f, nil
}

func (f *natsFleet) Close() error {
	for _, m := range f.taking {
		m.Stop()
	}
	f.conn.Close()
	_, err := f.process.Stop()
	return err
}

// backlog publishes n ints without workers, and returns their memory.
func (f *natsFleet) backlog(ctx context.Context, n int) (float64, error) {
	for i := range n {
		if _, err := f.publish(natsSubjects[0], i); err != nil {
			return 0, err
		}
	}
	<-f.js.PublishAsyncComplete()
	s, err := f.js.Stream(ctx, natsSubjects[0])
	if err != nil {
		return 0, err
	}
	info, err := s.Info(ctx)
	if err != nil {
		return 0, err
	}
	return float64(info.State.Bytes), nil
}

// natsStall is how long a publisher waits for room. The default is 200 ms.
const natsStall = 20 * time.Second

// user code: begin

var natsSubjects = []string{"in", "middle", "out"}

type natsFleet struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	taking  []jetstream.MessagesContext
	process *role.Process
}

func openNATS(ctx context.Context, url string, kind jetstream.StorageType) (*natsFleet, error) {
	conn, err := nats.Connect(url)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		return nil, err
	}
	for _, subject := range natsSubjects {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: subject, Subjects: []string{subject}, Storage: kind, Retention: jetstream.WorkQueuePolicy,
		}); err != nil {
			return nil, err
		}
	}
	return &natsFleet{conn: conn, js: js}, nil
}

func (f *natsFleet) publish(subject string, x int) (jetstream.PubAckFuture, error) {
	return f.js.PublishAsync(subject, strconv.AppendInt(nil, int64(x), 10), jetstream.WithStallWait(natsStall))
}

// messages starts to read a stream.
func (f *natsFleet) messages(ctx context.Context, subject string) (jetstream.MessagesContext, error) {
	c, err := f.js.CreateOrUpdateConsumer(ctx, subject, jetstream.ConsumerConfig{
		Durable: "w", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 16384,
	})
	if err != nil {
		return nil, err
	}
	messages, err := c.Messages(jetstream.PullMaxMessages(500))
	if err == nil {
		f.taking = append(f.taking, messages)
	}
	return messages, err
}

// stage publishes do of each message.
func (f *natsFleet) stage(ctx context.Context, from, to string, do func(int) int) error {
	messages, err := f.messages(ctx, from)
	if err != nil {
		return err
	}
	type sent struct {
		future jetstream.PubAckFuture
		m      jetstream.Msg
	}
	stored := make(chan sent, 4096)
	go func() {
		for s := range stored {
			select {
			case <-s.future.Ok():
				_ = s.m.Ack() // otherwise it is delivered again, as after a crash
			case <-s.future.Err():
				_ = s.m.Nak()
			}
		}
	}()
	go func() {
		defer close(stored)
		for {
			m, err := messages.Next()
			if err != nil {
				return // it was stopped
			}
			x, err := strconv.Atoi(string(m.Data()))
			if err != nil {
				_ = m.Term() // it can never succeed
				continue
			}
			future, err := f.publish(to, do(x))
			if err != nil {
				_ = m.Nak()
				continue
			}
			stored <- sent{future, m}
		}
	}()
	return nil
}

func (f *natsFleet) work(ctx context.Context) error {
	return errors.Join(
		f.stage(ctx, natsSubjects[0], natsSubjects[1], func(x int) int { return x + 1 }),
		f.stage(ctx, natsSubjects[1], natsSubjects[2], func(x int) int { return 2 * x }),
	)
}

func (f *natsFleet) Pipe(ctx context.Context) (work.Caller, error) {
	messages, err := f.messages(ctx, natsSubjects[2])
	if err != nil {
		return nil, err
	}
	group, ctx, end := work.Crew(ctx)
	context.AfterFunc(ctx, messages.Stop)
	in, out := make(chan int, work.Capacity), make(chan int, work.Capacity)
	group.Go(func() error {
		for x := range in {
			if _, err := f.publish(natsSubjects[0], x); err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		defer close(out)
		for {
			m, err := messages.Next()
			if err != nil {
				return err
			}
			x, err := strconv.Atoi(string(m.Data()))
			if err != nil {
				return err
			}
			if err := work.Give(ctx, out, x); err != nil {
				return err
			}
			if err := m.Ack(); err != nil {
				return err
			}
		}
	})
	return &work.Pipe[int]{In: in, Out: out, Value: work.Plain, Close: end}, nil
}

// user code: end
