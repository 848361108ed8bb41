package edge

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
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
		c, err := broker.Open("redis://127.0.0.1/?ns=dq", broker.Options{Dialer: wire.Dial})
		raw := redis.NewClient(&redis.Options{Dialer: server.Dial, Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet})
		w := opened(t, world{c, server.Keys, raw, "dq"}, err)
		q := w.declare(t, broker.Queue{Name: "q"})
		source, _, err := c.Source(t.Context(), "s", q, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := w.receive(t, "q", ReceiverOptions{})
		<-time.After(time.Minute)
		if err := raw.Del(t.Context(), "{dq:0}:watch:q").Err(); err != nil { // nobody is told
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
