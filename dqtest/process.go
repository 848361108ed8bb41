package dqtest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/dqbridge/dqbridge/internal/probe"
)

var errKilled = errors.New("dqtest: the process was killed")

// A Process is an Executor or a worker with its connections. Its methods are safe for concurrent
// use inside the bubble.
type Process struct {
	fleet    *Fleet
	executor bool
	close    func() error // ends it normally and waits for the end

	mu     sync.Mutex
	conns  map[*conn]bool
	kills  map[int]func() // cancel the functions of a worker
	nextID int
	killed bool
	left   int           // items until it is killed; 0: it is not
	lose   int           // replies of scripts to lose
	stood  chan struct{} // closed by Continue; nil unless it is stopped
}

// Kill ends the process like kill -9: it cuts the connections, and no later write of the process
// reaches the broker. The contexts of its functions end. Kill does not wait for the functions. The
// queues of a killed Executor stay for ten minutes of virtual time, then another process deletes
// them. Close of a killed Executor releases its goroutines and returns an error.
func (p *Process) Kill() {
	p.mu.Lock()
	conns, kills := p.conns, p.kills
	p.killed, p.conns, p.kills = true, nil, nil
	if p.stood != nil {
		close(p.stood)
		p.stood = nil
	}
	p.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
	for _, kill := range kills {
		kill()
	}
}

// KillAfter kills the process after its functions have run n more items, before the result of the
// last one is stored. A call of a batch function counts with all its items. n must be at least 1.
func (p *Process) KillAfter(n int) {
	p.fleet.t.Helper()
	if n < 1 {
		p.fleet.t.Fatalf("dqtest: KillAfter(%d): it must be at least 1", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

// Stop holds back all requests and replies of the process until Continue, like SIGSTOP. Running
// functions continue.
func (p *Process) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stood == nil && !p.killed {
		p.stood = make(chan struct{})
	}
}

// Continue continues a stopped process.
func (p *Process) Continue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stood != nil {
		close(p.stood)
		p.stood = nil
	}
}

// LoseReplies drops the replies of the next n scripts of the process: they run, and the connection
// is cut before the reply. Every change of a queue is a script.
func (p *Process) LoseReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// Terminate ends the process normally: a worker as on SIGTERM, which lets running functions finish,
// an Executor by Close. It returns after the end.
func (p *Process) Terminate() error { return p.close() }

// context adds the probe that counts the items of the process and kills it.
func (p *Process) context(ctx context.Context) context.Context {
	return probe.With(ctx, &probe.Probe{Ran: p.ran, Dying: p.dying})
}

func (p *Process) ran(items int) {
	p.mu.Lock()
	die := p.left > 0 && p.left <= items
	p.left = max(0, p.left-items)
	p.mu.Unlock()
	if die {
		p.Kill()
	}
}

func (p *Process) dying(kill func()) (forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		kill()
		return func() {}
	}
	id := p.nextID
	p.nextID++
	p.kills[id] = kill
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.kills, id)
	}
}

// wait blocks while the process is stopped.
func (p *Process) wait() {
	p.mu.Lock()
	stood := p.stood
	p.mu.Unlock()
	if stood != nil {
		<-stood
	}
}

// dial connects to the broker.
func (p *Process) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	p.wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return nil, errKilled
	}
	inner, err := p.fleet.server.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, process: p}
	p.conns[c] = true
	return c, nil
}

// cut closes the connections.
func (p *Process) cut() {
	p.mu.Lock()
	conns := p.conns
	if !p.killed {
		p.conns = map[*conn]bool{}
	}
	p.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// forget removes a connection from the list.
func (p *Process) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// losing reports whether to drop the reply of a request.
func (p *Process) losing(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == 0 || !isScript(request) {
		return false
	}
	p.lose--
	return true
}

// A muted handler drops the log records of a killed process.
type muted struct {
	slog.Handler
	process *Process
}

// Enabled reports whether a record is handled.
func (m muted) Enabled(ctx context.Context, level slog.Level) bool {
	return !m.process.dead() && m.Handler.Enabled(ctx, level)
}

// WithAttrs returns a handler that is muted too.
func (m muted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return muted{m.Handler.WithAttrs(attrs), m.process}
}

// WithGroup returns a handler that is muted too.
func (m muted) WithGroup(name string) slog.Handler {
	return muted{m.Handler.WithGroup(name), m.process}
}

// log returns the logger of the process, which writes to the log of the test.
func (p *Process) log() *slog.Logger { return slog.New(muted{p.fleet.log, p}) }
