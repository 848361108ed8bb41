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

// A conn is a client's connection. Write runs the commands that are complete with it,
// and Read returns their replies. Neither waits for the other, whatever the size of a
// pipeline.
type conn struct {
	s    *Server
	more chan struct{} // there is something to read, or the connection has ended

	writing sync.Mutex
	in      requests

	// the lock of the server guards the next two
	waiter *waiter    // the read for which this connection waits
	behind [][]string // commands behind it

	mu       sync.Mutex // taken after that of the server
	out      answers    // replies
	read     int        // how much of them was read
	err      error      // what Read returns behind the replies; the connection has ended
	deadline time.Time
}

// Why a connection has ended: what Read returns then.
var (
	errClientClosed = io.ErrClosedPipe
	errServerClosed = io.EOF
)

// most is the capacity of a buffer that is kept while it is empty.
const most = 64 << 10

func newConn(s *Server) *conn { return &conn{s: s, more: make(chan struct{}, 1)} }

// Write runs commands. After the end of the connection it returns io.ErrClosedPipe. Bytes that
// are no command end the connection with an error as the last reply.
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

// refuse ends the connection of a client that does not speak the protocol.
func (c *conn) refuse(err error) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.drop(c)
	c.answer(func(out *answers) { out.fail("ERR Protocol error: " + err.Error()) })
	c.end(errServerClosed)
}

// run runs one command, or puts it behind the read for which the connection waits. It
// reports whether the connection is open.
func (c *conn) run(args []string) bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if _, open := c.s.conns[c]; !open {
		return false
	}
	if c.waiter != nil {
		c.behind = append(c.behind, slices.Clone(args))
		return true
	}
	c.s.do(c, args)
	clear(args) // a connection that idles keeps none of them
	c.s.serve()
	return true
}

// answer lets write add replies. If it has added some, answer wakes the reader and reports
// so. A panic of a command, which is a defect of the server, becomes its reply. The lock of the
// server is held.
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

// end ends the connection, unless it has ended: what is not read yet still can be. The lock
// of the server is held.
func (c *conn) end(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.wake()
}

// Read waits for replies until the deadline.
func (c *conn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		n := copy(b, c.out.b[c.read:])
		if c.read += n; c.read == len(c.out.b) {
			c.out.b, c.read = c.out.b[:0], 0
			if cap(c.out.b) > most {
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

// SetReadDeadline is for the reads that begin after it.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return nil
}

// SetWriteDeadline changes nothing: a write waits for no reader.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (c *conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// Close ends the connection, also a Read that waits.
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

// LocalAddr is the same for all.
func (c *conn) LocalAddr() net.Addr { return address{} }

// RemoteAddr is the same for all.
func (c *conn) RemoteAddr() net.Addr { return address{} }
