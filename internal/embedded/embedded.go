// Package embedded implements a broker inside the process: a server for the Redis commands that
// package broker uses. It opens no port and starts no goroutine. The cost of a command depends on
// the data it touches, not on the number of keys or blocked readers. The data is lost when the
// server ends.
package embedded

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A Server is an embedded broker. The caller closes it after the last client.
//
// Commands run one at a time, each in the goroutine of the client that writes it.
type Server struct {
	commands map[string]command

	mu      sync.Mutex
	closed  bool
	conns   map[*conn]struct{}
	now     time.Time // time of the running command
	stopped time.Time // time of a stopped clock; zero: the clock runs
	keys    map[string]*value
	maxKeys int // largest number of keys since the map was allocated
	expires deadlines
	waiting map[string][]waiting // blocked readers, by key
	ready   []string             // keys with blocked readers that the running command has changed
	isReady map[string]bool      // the keys of ready
	scripts map[string]*lua.FunctionProto
	state   *lua.LState // created for the first script
	work    work
}

// work counts the overhead of commands, for tests.
type work struct {
	commands int // sent by clients
	tries    int // blocked reads that were tried again
	expired  int // keys whose lifetime was checked
	compiled int // scripts
}

// New returns a running server.
func New() *Server {
	return &Server{
		commands: commands(), conns: map[*conn]struct{}{}, keys: map[string]*value{},
		waiting: map[string][]waiting{}, isReady: map[string]bool{}, scripts: map[string]*lua.FunctionProto{},
	}
}

// Open connects a client that treats the server as a remote one, for tests. address sets the
// namespace, as in "redis://127.0.0.1/?ns=test".
func (s *Server) Open(address string, log *slog.Logger) (*broker.Client, error) {
	return broker.Open(address, broker.Options{Log: log, Dialer: s.Dial})
}

// Dial connects to the server; it ignores the address. It returns an error after Close.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	c := newConn(s)
	s.conns[c] = struct{}{}
	return c, nil
}

// Keys returns all keys, sorted, for tests that check for leftovers.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	return s.list("*")
}

// Commands returns the number of commands that clients have sent, for tests that count them.
func (s *Server) Commands() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.work.commands
}

// StandAt stops the clock at a time, for tests that compare with another server.
func (s *Server) StandAt(now time.Time) {
	s.mu.Lock()
	s.stopped = now
	s.mu.Unlock()
}

// Close ends the server and all its connections.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		s.drop(c)
		c.end(errServerClosed)
	}
}

// drop removes a connection.
func (s *Server) drop(c *conn) {
	delete(s.conns, c)
	if c.waiter != nil {
		s.unblock(c.waiter)
	}
}

// tick sets the time of a command and removes expired keys.
func (s *Server) tick() {
	if s.now = s.stopped; s.now.IsZero() {
		s.now = time.Now()
	}
	s.expire()
}

// list returns the keys that match a pattern, sorted.
func (s *Server) list(pattern string) []string {
	keys := make([]string, 0, len(s.keys))
	for key := range s.keys {
		if matches(pattern, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
