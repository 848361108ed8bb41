package dqtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// A conn is a connection of a process to the broker.
type conn struct {
	net.Conn
	process *Process
	lost    atomic.Bool // drop the next reply
}

// isScript reports whether a request runs a script.
func isScript(request []byte) bool {
	return bytes.Contains(request, []byte("\r\nevalsha\r\n")) || bytes.Contains(request, []byte("\r\neval\r\n"))
}

// Write sends a request.
func (c *conn) Write(request []byte) (int, error) {
	c.process.wait()
	if c.process.losing(request) {
		c.lost.Store(true)
	}
	return c.Conn.Write(request)
}

// Read receives a reply. If the reply is to be lost, Read cuts the connection when it arrives, so
// that the script has run.
func (c *conn) Read(reply []byte) (int, error) {
	n, err := c.Conn.Read(reply)
	if c.lost.Load() && n > 0 {
		return 0, errors.Join(io.EOF, c.Close())
	}
	c.process.wait()
	return n, err
}

// Close closes the connection.
func (c *conn) Close() error {
	c.process.forget(c)
	return c.Conn.Close()
}

// flush removes all keys and scripts from the broker.
func (f *Fleet) flush() error {
	c, err := f.server.Dial(context.Background(), "", "") //nolint:forbidigo // it is in memory
	if err != nil {
		return err
	}
	defer c.Close()
	reply := make([]byte, 64)
	for _, command := range []string{"*1\r\n$8\r\nFLUSHALL\r\n", "*2\r\n$6\r\nSCRIPT\r\n$5\r\nFLUSH\r\n"} {
		if _, err := c.Write([]byte(command)); err != nil {
			return err
		}
		n, err := c.Read(reply)
		if err != nil || string(reply[:n]) != "+OK\r\n" {
			return fmt.Errorf("%q: %q, %w", command, reply[:n], err)
		}
	}
	return nil
}
