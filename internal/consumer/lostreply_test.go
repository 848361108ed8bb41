package consumer

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// cutter can close all connections that were made.
type cutter struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dial(ctx, network, addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	conns := c.conns
	c.conns = nil
	c.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// A hint may have been in the reply that was lost: a gather that has idled for long looks
// at its sources at once, and not when it is time to.
func TestAGatherLooksAfterALostReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		wire := &cutter{dial: server.Dial}
		w := brokertest.Dialed(t, server, wire.Dial)
		c := w.C
		q := w.Queue(t, broker.Queue{Name: "q"})
		source, _, err := c.Source(t.Context(), "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		<-time.After(time.Minute)
		if err := w.Raw.Del(t.Context(), "{dq:0}:watch:q").Err(); err != nil { // nobody is told
			t.Fatal(err)
		}
		if err := c.Finish(t.Context(), source, 0); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		wire.cut()
		if _, text := r.item(t); text != "" {
			t.Errorf("%q comes", text)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the end is noticed after %v", took)
		}
		if err := r.ended(t); err != nil {
			t.Error(err)
		}
	})
}

// A gather that has lost a reply reads again what it holds, and leaves its name in none of
// the queue's streams; only entries that it holds keep it, until the next gather ends.
func TestAGatherLeavesNoConsumer(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := <-brokertest.Send(t.Context(), sender(t, w, "s", q), 1, 2); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r, err := Receive(t.Context(), w.C, "q", ReceiverOptions{Executor: "x1", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			r.recall = true
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			<-r.Pieces()
			r.Left()
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
		for stream, most := range map[string]int{"q:q": 1, "r:q": 0, "x:q": 0} { // the last one holds the item
			if names := w.Raw.XInfoConsumers(t.Context(), w.Key(stream), "w").Val(); len(names) > most {
				t.Errorf("consumers of %s: %v", stream, names)
			}
		}
	})
}
