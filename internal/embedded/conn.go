package embedded

import (
	"net"
	"os"
	"sync"
	"time"
)

// conn is the client's end of a pipe to the server. A pipe has no buffer: a
// server that writes a reply while the client still writes the rest of its
// pipeline would wait for ever, so replies are read ahead, as a socket does.
type conn struct {
	net.Conn
	pumped chan struct{} // closed when the pump has ended
	more   chan struct{} // there is something to read

	mu       sync.Mutex
	ahead    []byte
	err      error
	deadline time.Time
}

const chunk = 32 << 10

func buffered(pipe net.Conn) *conn {
	c := &conn{Conn: pipe, pumped: make(chan struct{}), more: make(chan struct{}, 1)}
	go c.pump()
	return c
}

// pump reads ahead until the pipe is closed.
func (c *conn) pump() {
	defer close(c.pumped)
	var buf [chunk]byte
	for {
		n, err := c.Conn.Read(buf[:])
		c.mu.Lock()
		c.ahead, c.err = append(c.ahead, buf[:n]...), err
		c.mu.Unlock()
		select {
		case c.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (c *conn) Read(b []byte) (int, error) {
	for {
		c.mu.Lock()
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		if len(c.ahead) == 0 && cap(c.ahead) < chunk {
			c.ahead = nil
		}
		err, deadline := c.err, c.deadline
		c.mu.Unlock()
		switch {
		case n > 0 || len(b) == 0:
			return n, nil
		case err != nil:
			return 0, err
		}
		if err := c.wait(deadline); err != nil {
			return 0, err
		}
	}
}

// wait waits for more, until the deadline.
func (c *conn) wait(deadline time.Time) error {
	if deadline.IsZero() {
		select {
		case <-c.more:
		case <-c.pumped:
		}
		return nil
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-c.more:
		return nil
	case <-c.pumped:
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

// SetDeadline is for the reads that begin after it, and for all writes.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	<-c.pumped
	return err
}
