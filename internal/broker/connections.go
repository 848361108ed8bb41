package broker

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	maxSpares = 8           // lines of ended gathers that the client of a partition keeps
	spareAge  = time.Minute // after which a router may have forgotten an unused connection
)

// A line is the connection of a Reader: a go-redis client with one connection, and the set that tracks it.
type line struct {
	rdb   redis.UniversalClient
	conns *connSet
	wait  time.Duration // for which a read may block
	spare time.Time     // since when no gather uses it
}

// spareLines are lines of gathers that have ended. The next gather uses one of them, which spares Redis and the
// caller a connection for each short flow. The zero value is ready for use.
type spareLines struct {
	mu     sync.Mutex
	lines  []line
	closed bool
}

// take returns the line that was used last, if its reads block for at most wait. It closes lines that are too old.
func (s *spareLines) take(wait time.Duration) (l line, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.lines) > 0 && time.Since(s.lines[0].spare) > spareAge {
		_ = s.lines[0].rdb.Close() // no read of it is under way
		s.lines = s.lines[1:]
	}
	n := len(s.lines)
	if n == 0 || s.lines[n-1].wait != wait {
		return line{}, false
	}
	l, s.lines = s.lines[n-1], s.lines[:n-1]
	return l, true
}

// put keeps a line on which no read is under way; go-redis has closed its connection if the last one has failed. It
// returns false if the caller has to close the line.
func (s *spareLines) put(l line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.lines) >= maxSpares || l.conns.isClosed() {
		return false
	}
	l.spare = time.Now()
	s.lines = append(s.lines, l)
	return true
}

// close closes the lines. No further one is kept.
func (s *spareLines) close() (err error) {
	s.mu.Lock()
	lines := s.lines
	s.lines, s.closed = nil, true
	s.mu.Unlock()
	for _, l := range lines {
		err = errors.Join(err, l.rdb.Close())
	}
	return err
}

// dedicated returns a client with one connection, which d tracks. A read on it may block for wait.
func (c *Client) dedicated(wait time.Duration, d *connSet) redis.UniversalClient {
	options := c.target.universal(wait)
	next := dialerOf(options)
	if d.liveness == nil {
		options.ReadBufferSize, options.WriteBufferSize = gatherBuffer, gatherBuffer
	}
	options.Dialer = dialLate(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return d.keep(conn)
	})
	return c.target.connect(options, func(ctx context.Context) ([]redis.ClusterSlot, error) { // it needs no connection to other nodes
		return c.rdb.ClusterSlots(ctx).Result()
	})
}

// connSet tracks the open connections of one go-redis client. A context does not end a blocked
// read, and go-redis writes to stderr if it is closed during one, so Interrupt closes the
// connections below it.
type connSet struct {
	liveness *livenessConn // liveness connection of the process, nil for a gather

	mu     sync.Mutex
	conns  map[*trackedConn]struct{}
	closed bool
}

func newConnSet(s *livenessConn) *connSet {
	return &connSet{conns: map[*trackedConn]struct{}{}, liveness: s}
}

// A trackedConn is one connection of a connSet.
type trackedConn struct {
	net.Conn
	set *connSet
}

// Close closes the connection once; further calls return nil.
func (l *trackedConn) Close() error {
	l.set.mu.Lock()
	_, open := l.set.conns[l]
	delete(l.set.conns, l)
	l.set.mu.Unlock()
	if !open {
		return nil
	}
	l.set.liveness.reset()
	return l.Conn.Close()
}

func (d *connSet) keep(conn net.Conn) (net.Conn, error) {
	l := &trackedConn{conn, d}
	d.liveness.reset()
	d.mu.Lock()
	d.conns[l] = struct{}{}
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, errors.Join(net.ErrClosed, l.Close())
	}
	return l, nil
}

func (d *connSet) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

func (d *connSet) close() {
	d.mu.Lock()
	d.closed = true
	conns := slices.Collect(maps.Keys(d.conns))
	d.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // the bytes left in it have no reader
	}
}
