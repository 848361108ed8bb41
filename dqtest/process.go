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

// A Process is an Executor or a worker with its connections. Its methods can be called from
// many goroutines of the bubble.
type Process struct {
	fleet    *Fleet
	executor bool
	close    func() error // ends it in order, and returns when it has ended

	mu     sync.Mutex
	conns  map[*conn]bool
	kills  map[int]func() // end the functions of a worker
	nextID int
	killed bool
	left   int           // items until it is killed, 0: it is not
	lose   int           // replies of scripts to lose
	stood  chan struct{} // closed by Continue; nil unless it is stopped
}

// Kill ends the process as kill -9 does: its connections are cut, and nothing that it does
// later reaches the broker. The contexts of its functions end. Kill does not wait for them. The
// queues of a killed Executor stay for ten minutes of virtual time, then another process
// deletes them; Close of such an Executor frees its goroutines and returns an error.
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

// KillAfter kills the process when its functions have run for n more items, before the result of
// the last one is stored. A call of a batch function counts with all of its items. n must be at
// least 1.
func (p *Process) KillAfter(n int) {
	p.fleet.t.Helper()
	if n < 1 {
		p.fleet.t.Fatalf("dqtest: KillAfter(%d): it must be at least 1", n)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

// Stop holds up each request and reply of the process until Continue, as SIGSTOP does.
// Functions that run go on.
func (p *Process) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stood == nil && !p.killed {
		p.stood = make(chan struct{})
	}
}

// Continue lets a stopped process go on.
func (p *Process) Continue() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stood != nil {
		close(p.stood)
		p.stood = nil
	}
}

// LoseReplies loses the replies of the next n scripts of the process: they run, and the
// connection is cut before the reply. Scripts are what changes queues.
func (p *Process) LoseReplies(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = n
}

// Terminate ends the process in order: a worker as at SIGTERM, which lets the functions end
// that run, an Executor by Close. It returns when that is done.
func (p *Process) Terminate() error { return p.close() }

// context adds to the context of a process what counts its items and kills it.
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

// wait returns when the process is not stopped.
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

// forget takes a connection off the list.
func (p *Process) forget(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// losing reports whether to lose the reply of a request.
func (p *Process) losing(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == 0 || !isScript(request) {
		return false
	}
	p.lose--
	return true
}

// A muted handler drops what a process logs after it was killed.
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
