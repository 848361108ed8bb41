package competitors

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

// natsRow has a stream between two stages and publishes asynchronously. It acknowledges a message
// after its result is stored.
func natsRow(name, title string, kind jetstream.StorageType) rows.Row {
	return rows.Row{
		Name: name, Title: title, Lines: rows.UserLines(files, "nats.go"), First: 10_000,
		Open: func(ctx context.Context, _ *redisd.Server) (rows.Fleet, error) {
			f, err := startNATS(ctx, kind)
			if err != nil {
				return nil, err
			}
			if err := f.work(ctx); err != nil {
				return nil, errors.Join(err, f.Close())
			}
			return f, nil
		},
		Backlog: func(ctx context.Context, _ *redisd.Server, n int) (h rows.Stored, err error) {
			f, err := startNATS(ctx, kind)
			if err != nil {
				return h, err
			}
			h.Bytes, err = f.backlog(ctx, n)
			h.Release = f.Close
			return h, err
		},
	}
}

// startNATS starts a server and connects to it.
func startNATS(ctx context.Context, kind jetstream.StorageType) (*natsFleet, error) {
	server, err := process.Start(ctx, NATSRole, nil)
	if err != nil {
		return nil, err
	}
	f, err := openNATS(ctx, server.Answer, kind)
	if err = errors.Join(err, server.Go()); err != nil {
		_, failed := server.Stop()
		return nil, errors.Join(err, failed)
	}
	f.process = server
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

// backlog publishes n ints without workers, and returns their bytes.
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

// natsStall is the time that a publisher waits for free capacity; the default is 200 ms.
const natsStall = 20 * time.Second

// user code: begin

var natsSubjects = []string{"in", "middle", "out"}

type natsFleet struct {
	conn    *nats.Conn
	js      jetstream.JetStream
	taking  []jetstream.MessagesContext
	process *process.Process
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

// messages starts to consume a stream.
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

// stage publishes the result of do for each message.
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
				return // stopped
			}
			x, err := strconv.Atoi(string(m.Data()))
			if err != nil {
				_ = m.Term() // a retry cannot help
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

// NATSRole is the role of the process with the nats-server, which is separate like Redis.
const NATSRole = "nats"

// ServeNATS runs a nats-server with JetStream until ctx ends.
func ServeNATS(ctx context.Context, _ json.RawMessage, ready func(string)) (_ int, err error) {
	dir, err := os.MkdirTemp("", "dqbench-nats")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return 0, err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return 0, errors.New("nats-server accepts no connections")
	}
	ready(s.ClientURL())
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return 0, nil
}
