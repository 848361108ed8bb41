// Package brokertest gives tests a broker: the embedded one, and one on a real redis-server.
package brokertest

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A World is a broker with a namespace of its own, in which the executor x1 has joined.
type World struct {
	C    *broker.Client
	Raw  *redis.Client   // sends commands past the protocol
	Keys func() []string // returns all keys of the namespace
	ns   string
}

// Key returns the full name of a key of partition 0.
func (w World) Key(name string) string { return "{" + w.ns + ":0}:" + name }

// OnBoth runs a test on the embedded broker and on a real server.
func OnBoth(t *testing.T, test func(t *testing.T, w World)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server := embedded.New()
		t.Cleanup(server.Close)
		test(t, Embedded(t, server, namespace(t)))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server, ns := testkit.SharedRedis(t), namespace(t)
		c, err := broker.Open(server.URL()+"/?ns="+ns, broker.Options{})
		raw := redis.NewClient(rawOptions(redis.Options{Addr: server.Addr()}))
		test(t, joined(t, World{c, raw, func() []string { return testkit.Keys(t, server.URL(), "{"+ns+":*") }, ns}, err))
	})
}

// Embedded returns a World on an embedded server.
func Embedded(t *testing.T, server *embedded.Server, ns string) World {
	t.Helper()
	c, err := server.Open("redis://127.0.0.1/?ns="+ns, nil)
	raw := redis.NewClient(rawOptions(redis.Options{Dialer: server.Dial}))
	return joined(t, World{c, raw, server.Keys, ns}, err)
}

// Metered returns a World on an embedded server, and the Meter of its client.
func Metered(t *testing.T, server *embedded.Server) (World, *Meter) {
	t.Helper()
	m := &Meter{dial: server.Dial}
	return Dialed(t, server, m.open), m
}

// Dialed returns a World on an embedded server, whose client opens its connections by dial.
func Dialed(t *testing.T, server *embedded.Server, dial func(ctx context.Context, network, addr string) (net.Conn, error)) World {
	t.Helper()
	c, err := broker.Open("redis://127.0.0.1/?ns=dq", broker.Options{Dialer: dial})
	raw := redis.NewClient(rawOptions(redis.Options{Dialer: server.Dial}))
	return joined(t, World{c, raw, server.Keys, "dq"}, err)
}

func rawOptions(o redis.Options) *redis.Options {
	o.Protocol, o.DisableIdentity = 2, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}

// namespace returns the end of the test's own namespace: the name of a test may be longer than that
// of a namespace.
func namespace(t *testing.T) string {
	t.Helper()
	ns := testkit.Namespace(t)
	return ns[max(0, len(ns)-40):]
}

func joined(t *testing.T, w World, err error) World {
	t.Helper()
	if err == nil {
		err = w.C.Join(t.Context(), broker.RoleExecutor, "x1", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.C.Close(), w.Raw.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Payloads returns the keys that hold large frames.
func (w World) Payloads() []string {
	return slices.DeleteFunc(w.Keys(), func(key string) bool { return !strings.Contains(key, "}:f:") })
}

// Queue declares a queue.
func (w World) Queue(t *testing.T, q broker.Queue) broker.Queue {
	t.Helper()
	q, _, err := w.C.Declare(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// NewSource makes a source of a queue. wake receives a token when the queue may have room.
func (w World) NewSource(t *testing.T, name string, q broker.Queue) (s broker.Source, wake <-chan struct{}) {
	t.Helper()
	s, stored, err := w.C.Source(t.Context(), name, q, 0)
	if err != nil || stored != 0 {
		t.Fatal(stored, err)
	}
	rung := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	mailbox, ended := w.C.Reader("x1", time.Second), make(chan struct{})
	go func() {
		defer close(ended)
		for last := "0"; ctx.Err() == nil; {
			hints, after, err := mailbox.Hints(ctx, last)
			if err != nil {
				return
			}
			if last = after; len(hints) > 0 {
				select {
				case rung <- struct{}{}:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = mailbox.Close()
		<-ended
	})
	return s, rung
}

// Backlog returns the number of items that wait in a queue.
func (w World) Backlog(t *testing.T, queue string) int64 {
	t.Helper()
	backlog, err := w.C.Waiting(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return backlog.Items
}

// A Sender is the part of a producer.Sender that Send uses.
type Sender interface {
	Source() broker.Source
	Send(ctx context.Context, batches []batch.Batch) error
	Finish(ctx context.Context, end int64) error
}

// Send sends Numbers [0, n) in batches of size, ends the source, and returns a channel for the outcome.
func Send(ctx context.Context, s Sender, size, n int64) <-chan error {
	var all []batch.Batch
	for from := int64(0); from < n; from += size {
		all = append(all, Numbers(s.Source().Name, from, min(n, from+size)))
	}
	sent := make(chan error, 1)
	go func() {
		err := s.Send(ctx, all)
		if err == nil {
			err = s.Finish(ctx, n)
		}
		sent <- err
	}()
	return sent
}

// Texts returns n batches of source s, each of one item of size bytes.
func Texts(n, size int) (all []batch.Batch) {
	for at := range n {
		var b batch.Builder
		b.Value([]byte(strings.Repeat("x", size)))
		all = append(all, batch.Batch{Source: "s", First: int64(at), N: 1, Frame: b.Take()})
	}
	return all
}

// Running returns the number of entries of a queue that a consumer holds.
func (w World) Running(t *testing.T, queue string) int64 {
	t.Helper()
	backlog, err := w.C.Waiting(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	return backlog.Running
}

// Numbers returns the batch [from, to) of a source, whose items are their offsets as text.
func Numbers(source string, from, to int64) batch.Batch {
	var b batch.Builder
	for _, text := range Offsets(from, to) {
		b.Value([]byte(text))
	}
	return batch.Batch{Source: source, First: from, N: int(to - from), Frame: b.Take()}
}

// Offsets returns the texts of the items of Numbers.
func Offsets(from, to int64) (all []string) {
	for at := from; at < to; at++ {
		all = append(all, strconv.FormatInt(at, 10))
	}
	return all
}
