package embedded

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// A conn is the connection of a client. Write runs the complete commands, and Read returns their
// replies. Neither blocks the other, for pipelines of any size.
type conn struct {
	s    *Server
	more chan struct{} // gets a token when there are replies, or when the connection has ended

	writing sync.Mutex
	in      requests

	// The server's lock guards the next two fields.
	waiter *waiter    // the blocked read of this connection
	queued [][]string // commands that follow it

	mu       sync.Mutex // locked after the server's lock
	out      answers    // replies
	read     int        // bytes of out that were read
	err      error      // error of Read after the replies; the connection has ended
	deadline time.Time
}

// Errors of Read after the end of a connection.
var (
	errClientClosed = io.ErrClosedPipe
	errServerClosed = io.EOF
)

// maxIdleBuffer is the largest capacity of an empty buffer that a connection keeps.
const maxIdleBuffer = 64 << 10

func newConn(s *Server) *conn { return &conn{s: s, more: make(chan struct{}, 1)} }

// Write runs commands. It returns io.ErrClosedPipe after the end of the connection. Invalid bytes
// end the connection, with an error as the last reply.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended() {
		return 0, io.ErrClosedPipe
	}
	rest, args, err := c.in.next(b)
	for err == nil && args != nil && c.run(args) {
		rest, args, err = c.in.next(rest)
	}
	if err != nil {
		c.refuse(err)
		return len(b), nil
	}
	if c.ended() {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func (c *conn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// refuse ends the connection of a client that violates the protocol.
func (c *conn) refuse(err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.drop(c)
	c.answer(func(out *answers) { out.fail("ERR Protocol error: " + err.Error()) })
	c.end(errServerClosed)
}

// run runs one command, or queues it while a read of the connection blocks. It reports whether the
// connection is still open.
func (c *conn) run(args []string) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if _, open := c.s.conns[c]; !open {
		return false
	}
	if c.waiter != nil {
		c.queued = append(c.queued, slices.Clone(args))
		return true
	}
	c.s.do(c, args)
	clear(args) // an idle connection keeps none of them
	c.s.serveBlocked()
	return true
}

// answer calls write to append replies. If there are any, it wakes the reader and returns true. A
// panic of a command, which is a bug of the server, becomes its reply. The caller holds the
// server's lock.
func (c *conn) answer(write func(out *answers)) (added bool) {
	c.mu.Lock()
	before := len(c.out.b)
	defer func() {
		if cause := recover(); cause != nil {
			c.out.b = c.out.b[:before]
			c.out.fail(fmt.Sprintf("ERR panic in the embedded broker: %v", cause))
		}
		added = len(c.out.b) > before
		c.mu.Unlock()
		if added {
			c.wake()
		}
	}()
	write(&c.out)
	return
}

func (c *conn) wake() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// end ends the connection once. Replies that are already written can still be read. The caller
// holds the server's lock.
func (c *conn) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.wake()
}

// Read blocks until there are replies, or until the deadline.
func (c *conn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		n := copy(b, c.out.b[c.read:])
		if c.read += n; c.read == len(c.out.b) {
			c.out.b, c.read = c.out.b[:0], 0
			if cap(c.out.b) > maxIdleBuffer {
				c.out.b = nil
			}
		}
		err, deadline := c.err, c.deadline
		c.mu.Unlock()
		if n > 0 || len(b) == 0 {
			return n, nil
		}
		if err == nil {
			err = c.wait(deadline)
		} else {
			c.wake() // for another Read
		}
		if err != nil {
			return 0, err
		}
	}
}

func (c *conn) wait(deadline time.Time) error {
	if deadline.IsZero() {
		<-c.more
		return nil
	}
	select {
	case <-c.more:
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-c.more:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

// SetReadDeadline applies to reads that begin after the call.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return nil
}

// SetWriteDeadline has no effect, since a write never blocks.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close ends the connection and a blocked Read.
func (c *conn) Close() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.drop(c)
	c.end(errClientClosed)
	return nil
}

type address struct{}

func (address) Network() string { return "embedded" }
func (address) String() string  { return "embedded" }

// LocalAddr returns the same address for every connection.
func (c *conn) LocalAddr() net.Addr { return address{} }

// RemoteAddr returns the same address for every connection.
func (c *conn) RemoteAddr() net.Addr { return address{} }
