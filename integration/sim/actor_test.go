//go:build !race

// Package sim runs whole flows in virtual time, with a fault at every possible place. It is not
// built under the race detector: some thousand bubbles with it end in a segmentation fault of the
// runtime (Go 1.26.8).
package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A fault is injected at a request.
type fault struct {
	name    string
	workers bool // only for requests of workers
	do      func(c *conn, request []byte) (handled bool, n int, err error)
}

// Faults of connections and processes. damage_test.go has those of the data.
var faults = []fault{
	{"the connection is cut before the request", false, func(c *conn, _ []byte) (bool, int, error) {
		return true, 0, errors.Join(io.ErrClosedPipe, c.Close())
	}},
	{"the reply is lost", false, func(c *conn, _ []byte) (bool, int, error) {
		c.deaf = func() {}
		return false, 0, nil
	}},
	{"dies before the request", true, func(c *conn, _ []byte) (bool, int, error) {
		c.actor.kill()
		return true, 0, io.ErrClosedPipe
	}},
	{"dies before the reply", true, func(c *conn, _ []byte) (bool, int, error) {
		c.deaf = c.actor.kill
		return false, 0, nil
	}},
	{"stands still for two leases", true, func(c *conn, _ []byte) (bool, int, error) {
		c.actor.pause(2 * lease)
		return false, 0, nil
	}},
	{"stands still before the reply", true, func(c *conn, request []byte) (bool, int, error) {
		n, err := c.Conn.Write(request)
		c.actor.pause(2 * lease)
		return true, n, err
	}},
	refusal("LOADING Redis is loading the dataset in memory"),
	refusal("READONLY You can't write against a read only replica."),
	refusal("OOM command not allowed when used memory > 'maxmemory'."),
	refusal("TRYAGAIN Multiple keys request during rehashing of slot"),
	refusal("NOSCRIPT No matching script."),
}

// refusal replies to a request with an error and does not run it.
func refusal(text string) fault {
	name, _, _ := strings.Cut(text, " ")
	return fault{"is answered " + name, false, func(c *conn, request []byte) (bool, int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answer = bytes.Repeat([]byte("-"+text+"\r\n"), commands(request))
		return true, len(request), nil
	}}
}

// commands counts the commands of a request.
func commands(request []byte) (n int) {
	for len(request) > 0 {
		if request[0] == '*' {
			n++
		}
		line, rest, _ := bytes.Cut(request, []byte("\r\n"))
		if line[0] == '$' { // skip the value
			size := 0
			for _, digit := range line[1:] {
				size = 10*size + int(digit-'0')
			}
			rest = rest[size+2:]
		}
		request = rest
	}
	return n
}

// A world is a server with a plan of faults.
type world struct {
	server *embedded.Server
	over   chan struct{} // closed at the end of the flow

	mu       sync.Mutex
	requests int           // so far, of all actors
	plan     map[int]fault // faults by the number of their request
	struck   int           // faults injected so far
	trace    []string
}

// next counts a request and returns its fault, if there is one.
func (w *world) next(a *actor, request []byte) *fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.requests
	w.requests++
	w.trace = append(w.trace, a.name+": "+brief(request))
	f, planned := w.plan[at]
	if !planned || f.workers && !a.worker {
		return nil
	}
	w.struck++
	w.trace = append(w.trace, "  *** "+a.name+" "+f.name)
	return &f
}

// brief returns the first words of a request.
func brief(request []byte) string {
	var words []string
	for line := range bytes.SplitSeq(request, []byte("\r\n")) {
		if len(line) > 0 && line[0] != '*' && line[0] != '$' && len(words) < 6 {
			words = append(words, string(line[:min(len(line), 30)]))
		}
	}
	return strings.Join(words, " ")
}

// An actor is a process: a worker or an executor with all its connections.
type actor struct {
	*world
	name   string
	worker bool
	die    context.CancelFunc // cancels its context after its death

	amu   sync.Mutex
	conns map[*conn]bool
	dead  bool
	until time.Time // stopped until then
}

func (w *world) actor(name string, worker bool, die context.CancelFunc) *actor {
	return &actor{world: w, name: name, worker: worker, die: die, conns: map[*conn]bool{}}
}

var errDead = errors.New("the process is dead")

func (a *actor) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	a.still()
	a.amu.Lock()
	defer a.amu.Unlock()
	if a.dead {
		return nil, errDead
	}
	inner, err := a.server.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, actor: a}
	a.conns[c] = true
	return c, nil
}

// kill ends an actor: its later requests do not reach the server.
func (a *actor) kill() {
	a.amu.Lock()
	a.dead = true
	conns := a.conns
	a.conns = nil
	a.amu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
	a.die()
}

func (a *actor) pause(d time.Duration) {
	a.amu.Lock()
	a.until = time.Now().Add(d)
	a.amu.Unlock()
	a.still()
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// still blocks while the actor is stopped.
func (a *actor) still() {
	a.amu.Lock()
	until := a.until
	a.amu.Unlock()
	pass(time.Until(until))
}

// A conn is a connection of an actor.
type conn struct {
	net.Conn
	actor *actor
	deaf  func() // called instead of reading the next reply

	mu     sync.Mutex
	answer []byte // the next bytes to read
}

func (c *conn) Write(request []byte) (int, error) {
	c.actor.still()
	if f := c.actor.next(c.actor, request); f != nil {
		if handled, n, err := f.do(c, request); handled {
			return n, err
		}
	}
	return c.Conn.Write(request)
}

func (c *conn) Read(reply []byte) (int, error) {
	c.mu.Lock()
	n := copy(reply, c.answer)
	c.answer = c.answer[n:]
	c.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	n, err := c.Conn.Read(reply)
	if c.deaf != nil { // there is a reply, so the request was run
		c.deaf()
		return 0, errors.Join(io.EOF, c.Close())
	}
	c.actor.still()
	return n, err
}
