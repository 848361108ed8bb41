package broker_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A countedConn counts the open connections.
type countedConn struct {
	net.Conn
	open, dead *atomic.Int64
	cut        *atomic.Bool
}

func (c countedConn) Read(p []byte) (int, error) {
	if c.cut.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

func (c countedConn) Close() error {
	c.open.Add(-1)
	c.dead.Add(1)
	return c.Conn.Close()
}

// A telephone is a client whose connections are counted.
type telephone struct {
	c          *broker.Client
	open, dead atomic.Int64
	cut        atomic.Bool // reads fail
}

func newTelephone(t *testing.T) *telephone {
	t.Helper()
	server := embedded.New()
	t.Cleanup(server.Close)
	p := new(telephone)
	c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := server.Dial(ctx, network, addr)
		p.open.Add(1)
		return countedConn{conn, &p.open, &p.dead, &p.cut}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	p.c = c
	must[any](t)(nil, c.Join(t.Context(), broker.RoleExecutor, "x1", nil))
	return p
}

// reader returns a Reader that has read once.
func (p *telephone) reader(t *testing.T) *broker.Reader {
	t.Helper()
	r := p.c.Reader("x1", time.Second)
	if _, _, err := r.Read(t.Context(), nil, 1, time.Second); err != nil {
		t.Fatal(err)
	}
	return r
}

// Gathers one after the other use the same connection, which Close of the client closes.
func TestNextGatherUsesTheConnectionOfTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTelephone(t)
		before := p.open.Load()
		for range 3 {
			must[any](t)(nil, p.reader(t).Close())
		}
		if n := p.open.Load() - before; n != 1 || p.dead.Load() != 0 {
			t.Errorf("%d connections are open, %d were closed", n, p.dead.Load())
		}
		must[any](t)(nil, p.c.Close())
		if n := p.open.Load(); n != 0 {
			t.Errorf("%d connections are open behind the end of the client", n)
		}
	})
}

// An Interrupt that comes late does not end the read of the gather that has the connection now.
func TestLateInterruptEndsNoOtherGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTelephone(t)
		first := p.reader(t)
		must[any](t)(nil, first.Close())
		second := p.c.Reader("x1", time.Second)
		first.Interrupt()
		if _, _, err := second.Read(t.Context(), nil, 1, time.Second); err != nil {
			t.Error(err)
		}
		must[any](t)(nil, second.Close())
		must[any](t)(nil, p.c.Close())
	})
}

// The connections of many gathers that end together are closed but for a few, and these when they have not
// been used for a while.
func TestFewConnectionsOfEndedGathersAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTelephone(t)
		before := p.open.Load()
		var readers []*broker.Reader
		for range 40 {
			readers = append(readers, p.reader(t))
		}
		for _, r := range readers {
			must[any](t)(nil, r.Close())
		}
		if n := p.open.Load() - before; n != 8 {
			t.Errorf("%d connections are kept", n)
		}
		<-time.After(2 * time.Minute)
		must[any](t)(nil, p.reader(t).Close())
		if n := p.open.Load() - before; n != 1 {
			t.Errorf("%d connections are kept behind a rest", n)
		}
		must[any](t)(nil, p.c.Close())
	})
}

// The connection of a gather that was interrupted, or whose last read has failed, is closed.
func TestBrokenConnectionIsNotKept(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, p *telephone, r *broker.Reader){
		"interrupted": func(_ *testing.T, _ *telephone, r *broker.Reader) { r.Interrupt() },
		"failed": func(t *testing.T, p *telephone, r *broker.Reader) {
			t.Helper()
			p.cut.Store(true)
			if _, _, err := r.Read(t.Context(), nil, 1, time.Second); err == nil {
				t.Error("the read has not failed")
			}
			p.cut.Store(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newTelephone(t)
				before := p.open.Load()
				r := p.reader(t)
				spoil(t, p, r)
				_ = r.Close() // the connection is closed already
				if n := p.open.Load() - before; n != 0 {
					t.Errorf("%d connections are kept", n)
				}
				must[any](t)(nil, p.reader(t).Close())
				must[any](t)(nil, p.c.Close())
			})
		})
	}
}
