// Package embedded is a broker inside the process: a server with the commands of Redis
// that package broker uses. It has no port and no goroutine of its own, and its cost
// depends on what a command touches, not on how many keys or waiting readers there are.
// Its data ends with it.
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

// A Server is an embedded broker. Close it after the last client.
//
// Commands run one at a time, in the goroutine of the client that writes them.
type Server struct {
	commands map[string]command

	mu      sync.Mutex
	closed  bool
	conns   map[*conn]struct{}
	now     time.Time // of the command that runs
	stands  time.Time // the time at which the clock stands; zero: it runs
	keys    map[string]*value
	most    int // keys at one time since the map was made
	expires deadlines
	waiting map[string][]waiting // readers that wait, by key
	ready   []string             // keys with waiting readers that the command has changed
	isReady map[string]bool      // the same keys
	scripts map[string]*lua.FunctionProto
	state   *lua.LState // made for the first script
	work    work
}

// work counts what commands cost beside their own data, for tests.
type work struct {
	commands int // that clients sent
	tries    int // reads of waiting readers that were tried again
	expired  int // keys that were looked at for their lifetimes
	compiled int // scripts
}

// New makes a server.
func New() *Server {
	return &Server{
		commands: commands(), conns: map[*conn]struct{}{}, keys: map[string]*value{},
		waiting: map[string][]waiting{}, isReady: map[string]bool{}, scripts: map[string]*lua.FunctionProto{},
	}
}

// Open connects a client that does not know that the server is in its process, for tests.
// address chooses the namespace, as in "redis://127.0.0.1/?ns=test".
func (s *Server) Open(address string, log *slog.Logger) (*broker.Client, error) {
	return broker.Open(address, broker.Options{Log: log, Dialer: s.Dial})
}

// Dial connects to the server, whatever the address. A closed server refuses.
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

// Keys lists all keys, sorted, for tests that leave none behind.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	return s.list("*")
}

// Commands returns how many commands clients have sent, for tests that count them.
func (s *Server) Commands() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.work.commands
}

// StandAt stops the clock at a time, for tests that compare with a server.
func (s *Server) StandAt(now time.Time) {
	s.mu.Lock()
	s.stands = now
	s.mu.Unlock()
}

// Close ends the server and its connections.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		s.drop(c)
		c.end(errServerClosed)
	}
}

// drop forgets a connection.
func (s *Server) drop(c *conn) {
	delete(s.conns, c)
	if c.waiter != nil {
		s.unpark(c.waiter)
	}
}

// tick takes the time of a command, and removes the keys whose lifetime has ended.
func (s *Server) tick() {
	if s.now = s.stands; s.now.IsZero() {
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
