package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

var errNetwork = errors.New("the network is broken")

// A network is the way to a broker. It can be away, and it can lose the reply of a
// request that the broker has executed.
type network struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	away  bool
	conns map[*networkConn]struct{}
	match func(request []byte) bool // whose reply is lost next, nil for none
	lost  func()                    // called when it is lost
}

type networkConn struct {
	net.Conn
	of    *network
	loses func() // set behind the request whose reply is lost
}

// onNetworks runs a test on the embedded broker and on a real server, with an Executor that
// reaches them over a network.
func onNetworks(t *testing.T, test func(t *testing.T, n *network, ex *executor.Executor), functions ...workers.Function) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		server := embedded.New()
		t.Cleanup(server.Close)
		n := &network{dial: server.Dial}
		test(t, n, n.connect(t, "redis://127.0.0.1:6379", functions...))
	})
	t.Run("redis", func(t *testing.T) {
		n := &network{dial: (&net.Dialer{}).DialContext}
		test(t, n, n.connect(t, namespace(t), functions...))
	})
}

func (n *network) connect(t *testing.T, url string, functions ...workers.Function) *executor.Executor {
	t.Helper()
	broker.Quiet()
	n.conns = map[*networkConn]struct{}{}
	ex := must(executor.New(t.Context(), url, executor.Dialer(n.open)))(t)
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	register(t, ex, functions...)
	return ex
}

// lose loses the reply of the next request that matches.
func (n *network) lose(match func(request []byte) bool, lost func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.match, n.lost = match, lost
}

// script matches the nth call of a script from now on.
func script(nth int) func([]byte) bool {
	return func(request []byte) bool {
		if bytes.Contains(request, []byte("eval")) {
			nth--
		}
		return nth < 0
	}
}

// interrupt cuts all connections, and refuses new ones until mend.
func (n *network) interrupt() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = true
	for c := range n.conns {
		_ = c.Conn.Close()
	}
}

func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = false
}

func (n *network) open(ctx context.Context, kind, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return nil, &net.OpError{Op: "dial", Err: errNetwork}
	}
	conn, err := n.dial(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	c := &networkConn{Conn: conn, of: n}
	n.conns[c] = struct{}{}
	return c, nil
}

// Write sends a request.
func (c *networkConn) Write(request []byte) (int, error) {
	c.of.mu.Lock()
	if c.of.match != nil && c.of.match(request) {
		c.loses, c.of.match = c.of.lost, nil
	}
	c.of.mu.Unlock()
	return c.Conn.Write(request)
}

// Read receives a reply.
func (c *networkConn) Read(reply []byte) (int, error) {
	got, err := c.Conn.Read(reply)
	c.of.mu.Lock()
	loses := c.loses
	c.of.mu.Unlock()
	if loses != nil {
		loses()
		return 0, &net.OpError{Op: "read", Err: errors.Join(errNetwork, c.Close())}
	}
	return got, err
}

// Close closes the connection.
func (c *networkConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
