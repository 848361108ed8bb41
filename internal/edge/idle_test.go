package edge

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// meter counts what a client asks of a server.
type meter struct {
	requests, bytes atomic.Int64
	dial            func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (m *meter) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := m.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return metered{conn, m}, nil
}

type metered struct {
	net.Conn
	*meter
}

func (c metered) Write(p []byte) (int, error) {
	c.requests.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// Who waits for room looks once a second, in case the word was lost, and
// does not send again and again what has no room.
func TestASenderThatWaitsCostsALookASecond(t *testing.T) {
	for name, window := range map[string]int64{"queue": 0, "window": 4} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := embedded.New()
				defer server.Close()
				m := &meter{dial: server.Dial}
				c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: m.Dial})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				q, _, err := c.Declare(t.Context(), broker.Queue{Name: "q", Max: 8})
				if err != nil {
					t.Fatal(err)
				}
				source, _, err := c.Source(t.Context(), "s", q, 1)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				sent := make(chan error, 1)
				go func() { sent <- NewSender(c, source, "x", nil, window).Send(ctx, texts(64, 1500)) }()
				<-time.After(time.Minute)
				synctest.Wait()
				requests, bytes := m.requests.Load(), m.bytes.Load()
				<-time.After(time.Minute)
				synctest.Wait()
				requests, bytes = m.requests.Load()-requests, m.bytes.Load()-bytes
				if requests < 59 || requests > 61 || bytes > requests*3000 {
					t.Errorf("%d requests of %d bytes in a minute", requests, bytes)
				}
				cancel()
				if err := <-sent; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}

// texts are n batches of one item each.
func texts(n, size int) (all []batch.Batch) {
	for at := range n {
		var b batch.Builder
		b.Value([]byte(strings.Repeat("x", size)))
		all = append(all, batch.Batch{Source: "s", First: int64(at), N: 1, Frame: b.Take()})
	}
	return all
}
