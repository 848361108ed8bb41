package broker_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A delayedConn counts its writes, and delays each until gate is closed.
type delayedConn struct {
	net.Conn
	writes *atomic.Int64
	gate   *atomic.Pointer[chan struct{}]
}

func (c delayedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	if gate := c.gate.Load(); gate != nil {
		<-*gate
	}
	return c.Conn.Write(p)
}

// shared returns a client that shares one connection, the number of its connections and of its writes,
// and a function that delays all writes until open is called.
func shared(t *testing.T) (c *broker.Client, dials, writes *atomic.Int64, shut func() (open func())) {
	t.Helper()
	server := embedded.New()
	t.Cleanup(server.Close)
	dials, writes = new(atomic.Int64), new(atomic.Int64)
	gate := new(atomic.Pointer[chan struct{}])
	c, err := broker.Open("redis://127.0.0.1/", broker.Options{Shared: true, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		conn, err := server.Dial(ctx, network, addr)
		return delayedConn{conn, writes, gate}, err
	}})
	c = opened(t, c, err)
	if err := c.Raw().Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	return c, dials, writes, func() func() {
		block := make(chan struct{})
		gate.Store(&block)
		return func() {
			gate.Store(nil)
			close(block)
		}
	}
}

func TestWaitingCommandsAreOneRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, dials, writes, shut := shared(t)
		before, open := writes.Load(), shut()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if err := c.Raw().IncrBy(t.Context(), "sum", int64(i)).Err(); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		open()
		all.Wait()
		if n := writes.Load() - before; n != 2 {
			t.Errorf("20 commands at once took %d requests, and not the first and the others", n)
		}
		if sum, err := c.Raw().Get(t.Context(), "sum").Int(); err != nil || sum != 190 {
			t.Errorf("the sum is %d, %v", sum, err)
		}
		if dials.Load() != 1 {
			t.Errorf("%d connections", dials.Load())
		}
	})
}

// A command that waits ends with its context, alone or among others, and those behind it are sent.
func TestWaitingCommandEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 2} {
		synctest.Test(t, func(t *testing.T) {
			c, _, _, shut := shared(t)
			open := shut()
			var all sync.WaitGroup
			incr := func() { all.Go(func() { _ = c.Raw().Incr(t.Context(), "n").Err() }) }
			incr()
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			given := make(chan error, 1)
			go func() { given <- c.Raw().Incr(ctx, "n").Err() }()
			synctest.Wait()
			for range others {
				incr()
			}
			synctest.Wait()
			cancel()
			if err := <-given; !errors.Is(err, context.Canceled) {
				t.Errorf("the command that waited: %v", err)
			}
			open()
			all.Wait()
			if n, err := c.Raw().Get(t.Context(), "n").Int(); err != nil || n != 1+others {
				t.Errorf("beside %d others: n is %d, %v", others, n, err)
			}
		})
	}
}

// A heartbeat must not wait behind a request that takes long. The second connection is closed afterwards.
func TestWaitingCommandsGoPastASlowRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		slow, open := make(chan struct{}), new(atomic.Int64)
		var dials, closes atomic.Int64
		c, err := broker.Open("redis://127.0.0.1/", broker.Options{Shared: true, Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, addr)
			if dials.Add(1) == 1 {
				conn = stoppedConn{conn, open, slow}
			}
			return closingConn{conn, &closes}, err
		}})
		c = opened(t, c, err)
		if err := c.Raw().Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		open.Store(1) // writes on the first connection wait from now on
		var all sync.WaitGroup
		all.Go(func() { _ = c.Raw().Incr(t.Context(), "n").Err() })
		synctest.Wait()
		for range 2 { // one after the other
			if err := c.Raw().Incr(t.Context(), "n").Err(); err != nil {
				t.Error(err)
			}
			if _, err := c.Raw().Pipelined(t.Context(), func(p redis.Pipeliner) error {
				p.Incr(t.Context(), "n")
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		if n, err := c.Raw().Get(t.Context(), "n").Int(); err != nil || n != 4 {
			t.Errorf("past a slow request: n is %d, %v", n, err)
		}
		open.Store(0)
		close(slow)
		all.Wait()
		if err := c.Raw().Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if left := dials.Load() - closes.Load(); left != 1 {
			t.Errorf("%d connections are left of %d", left, dials.Load())
		}
	})
}

// A stoppedConn writes nothing until slow is closed, while stopped is 1.
type stoppedConn struct {
	net.Conn
	stopped *atomic.Int64
	slow    chan struct{}
}

func (c stoppedConn) Write(p []byte) (int, error) {
	if c.stopped.Load() == 1 {
		<-c.slow
	}
	return c.Conn.Write(p)
}

// A closingConn counts when it is closed.
type closingConn struct {
	net.Conn
	closed *atomic.Int64
}

func (c closingConn) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// A slow request may end just when those that wait are about to go past it: they are sent once.
func TestWaitingCommandsAreSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _, _, shut := shared(t)
		for i := range 300 {
			var all sync.WaitGroup
			incr := func() {
				all.Go(func() {
					if err := c.Raw().Incr(t.Context(), "n").Err(); err != nil {
						t.Error(err)
					}
				})
			}
			open := shut()
			incr()
			synctest.Wait()
			for range 3 {
				incr()
			}
			synctest.Wait()
			time.AfterFunc(250*time.Millisecond, open) // the time after which a bundle goes past a request
			all.Wait()
			if n, err := c.Raw().Get(t.Context(), "n").Int(); err != nil || n != 4*(i+1) {
				t.Fatalf("after %d rounds n is %d, %v", i+1, n, err)
			}
		}
	})
}
