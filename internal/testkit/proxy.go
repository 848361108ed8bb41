package testkit

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy forwards TCP connections to a server and injects network faults.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	links  map[*link]struct{}
	gate   chan struct{} // closed while bytes may pass
	match  func(req []byte) bool
	lost   chan struct{} // closed when the reply to match was dropped
	line   Line
}

// A Line describes the network on both sides of a Proxy. The zero value is a network without
// faults.
type Line struct {
	Delay  func() time.Duration // of the next bytes, in either direction
	Slice  int                  // largest number of bytes that pass at once
	Budget func() int           // bytes in either direction after which a new connection is cut
}

// A link is a connection of a client and its counterpart to the server.
type link struct {
	client, server *net.TCPConn
	once           sync.Once
	cut            chan struct{}

	mu   sync.Mutex
	lost chan struct{} // set after the request whose reply is to be dropped
}

// NewProxy returns a proxy to target, a host:port. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: l, links: map[*link]struct{}{}, gate: make(chan struct{})}
	close(p.gate)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL returns redis://host:port.
func (p *Proxy) URL() string { return "redis://" + p.Addr() }

// CutAfterRequest drops one reply. The proxy calls match with each chunk of bytes read from a
// client. It forwards the first chunk for which match is true, waits for the server's reply, drops
// it, cuts the connection and closes the returned channel. match runs for one chunk at a time; it
// must neither keep req nor call the proxy.
func (p *Proxy) CutAfterRequest(match func(req []byte) bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match, p.lost = match, make(chan struct{})
	return p.lost
}

// Shape applies a Line to the current and new connections. A budget applies to new ones only.
func (p *Proxy) Shape(line Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = line
}

// Cut cuts all connections. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Pause holds back all bytes in both directions until Resume.
func (p *Proxy) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Resume forwards the bytes held back by Pause and all later ones.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.join(&link{client: client.(*net.TCPConn), server: server.(*net.TCPConn), cut: make(chan struct{})})
	}
}

func (p *Proxy) join(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		l.close()
		return
	}
	p.links[l] = struct{}{}
	p.running.Go(func() { p.pump(l, l.client, p.request) })
	p.running.Go(func() { p.pump(l, l.server, p.reply) })
}

// pump forwards bytes until one of the two ends is closed.
func (p *Proxy) pump(l *link, from net.Conn, forward func(*link, []byte) error) {
	defer p.leave(l)
	chunk := make([]byte, 64<<10)
	budget := -1
	if line := p.shape(); line.Budget != nil {
		budget = line.Budget()
	}
	for budget != 0 {
		line := p.shape()
		size := len(chunk)
		if line.Slice > 0 {
			size = line.Slice
		}
		if budget > 0 {
			size = min(size, budget)
		}
		n, err := from.Read(chunk[:size])
		budget -= min(n, max(budget, 0))
		if n > 0 && (!l.delay(line) || !p.pass(l) || forward(l, chunk[:n]) != nil) {
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) shape() Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line
}

// delay waits for the delay of the line. It returns false if the link was cut.
func (l *link) delay(line Line) bool {
	if line.Delay == nil {
		return true
	}
	timer := time.NewTimer(line.Delay())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.cut:
		return false
	}
}

func (p *Proxy) pass(l *link) bool {
	p.mu.Lock()
	gate := p.gate
	p.mu.Unlock()
	select {
	case <-gate:
		return true
	case <-l.cut:
		return false
	}
}

func (p *Proxy) request(l *link, chunk []byte) error {
	// The lock holds the reply to this chunk back until it is marked as lost.
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = p.take(chunk)
	}
	_, err := l.server.Write(chunk)
	if l.lost != nil {
		return nil // the server gets no further bytes after its reply
	}
	return err
}

// take returns the channel for the lost reply if this chunk is its request, once.
func (p *Proxy) take(chunk []byte) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.match == nil || !p.match(chunk) {
		return nil
	}
	p.match = nil
	return p.lost
}

var errLost = errors.New("the reply is lost")

func (p *Proxy) reply(l *link, chunk []byte) error {
	l.mu.Lock()
	lost := l.lost
	l.mu.Unlock()
	if lost == nil {
		_, err := l.client.Write(chunk)
		return err
	}
	// These bytes may be the reply to an earlier request: a server that reads the end of the
	// connection has answered all requests.
	_ = l.server.CloseWrite()
	_, _ = io.Copy(io.Discard, l.server)
	p.leave(l)
	close(lost)
	return errLost
}

func (p *Proxy) leave(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.close()
	delete(p.links, l)
}

func (l *link) close() {
	l.once.Do(func() {
		close(l.cut)
		_ = l.client.Close()
		_ = l.server.Close()
	})
}
