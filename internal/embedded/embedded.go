// Package embedded is a broker inside the process: miniredis, with a clock and
// without a port. What it holds ends with it.
package embedded

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A Server is an embedded broker. Close it after the last client.
type Server struct {
	redis *miniredis.Miniredis

	mu     sync.Mutex // a client that was closed may still be dialing
	closed bool
}

// New makes a server. It starts no goroutine until somebody connects.
func New() *Server {
	redis := miniredis.NewMiniRedis()
	redis.ClockTTL(true)
	return &Server{redis: redis}
}

// Open connects a client. address chooses the namespace, as in
// "redis://127.0.0.1/?ns=test".
func (s *Server) Open(address string, log *slog.Logger) (*broker.Client, error) {
	return broker.Open(address, broker.Options{Log: log, Dialer: s.Dial})
}

// Dial connects to the server, whatever the address. One that is closed refuses,
// where miniredis would begin anew.
func (s *Server) Dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, net.ErrClosed
	}
	pipe, err := s.redis.Dial()
	if err != nil {
		return nil, err
	}
	return buffered(pipe), nil
}

// Keys lists all keys, for tests that leave none behind.
func (s *Server) Keys() []string { return s.redis.Keys() }

// StandAt stops the clock at a time, for tests that compare with a server.
func (s *Server) StandAt(now time.Time) { s.redis.SetTime(now) }

// Close ends the server and its connections.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.redis.Close()
}
