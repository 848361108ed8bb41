package brokertest

import (
	"context"
	"net"
	"sync/atomic"
)

// A Meter counts the requests that a client sends, and their bytes.
type Meter struct {
	Requests, Bytes atomic.Int64
	dial            func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (m *Meter) open(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := m.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return meteredConn{conn, m}, nil
}

type meteredConn struct {
	net.Conn
	meter *Meter
}

func (c meteredConn) Write(p []byte) (int, error) {
	c.meter.Requests.Add(1)
	c.meter.Bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}
