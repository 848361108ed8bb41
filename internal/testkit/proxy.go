package testkit

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A Proxy stands between clients and a server on TCP and breaks what a network
// breaks.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	links  map[*link]struct{}
	gate   chan struct{} // closed while bytes may pass
	match  func(req []byte) bool
	lost   chan struct{} // closed when the reply to match was lost
	line   Line
}

// A Line is what the network between a Proxy's two ends is like; its zero value
// is a good one.
type Line struct {
	Delay  func() time.Duration // of the next bytes, in either direction
	Slice  int                  // bytes that pass at a time
	Budget func() int           // bytes after which a new connection is cut, in either direction
}

// A link is one client's connection and its other half to the server.
type link struct {
	client, server *net.TCPConn
	once           sync.Once
	cut            chan struct{}

	mu   sync.Mutex
	lost chan struct{} // set behind the request whose reply is to be lost
}

// NewProxy returns a proxy to target, a host:port, which ends with the test.
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

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is redis://host:port.
func (p *Proxy) URL() string { return "redis://" + p.Addr() }

// CutAfterRequest loses one reply. The first bytes from a client, as they came
// from one read, for which match is true go to the server; when it has answered,
// the answer is dropped and the connection cut, and the returned channel is
// closed. match is called for one chunk at a time; it must not keep req nor call
// the proxy.
func (p *Proxy) CutAfterRequest(match func(req []byte) bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match, p.lost = match, make(chan struct{})
	return p.lost
}

// Shape makes the connections of now on go over a line; a budget is for those
// that come.
func (p *Proxy) Shape(line Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = line
}

// Cut cuts all connections; new ones are welcome.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Pause holds back all bytes, in both directions, until Resume.
func (p *Proxy) Pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Resume lets the bytes held back by Pause and all later ones pass.
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

// pump hands on what it reads until one of the two ends is closed.
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

// delay waits as long as the line delays; false if the link was cut.
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
	// Under the lock the reply to this chunk waits until it is known as lost.
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost == nil {
		l.lost = p.take(chunk)
	}
	_, err := l.server.Write(chunk)
	if l.lost != nil {
		return nil // the server gets no more once it has answered
	}
	return err
}

// take returns the channel of the reply to lose if this is its request, once.
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
	// This may answer an earlier request: a server that reads the end of the
	// connection has answered them all.
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
