package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// connect makes a go-redis client. A Cluster client reloads the slot map every 2 s, and after each
// transient error, see reload: it follows a moved slot by itself, but it does not notice the death of a
// master.
//
// slots returns the slot map in place of a request for it; nil: none does.
func (t target) connect(o *redis.UniversalOptions, slots func(context.Context) ([]redis.ClusterSlot, error)) redis.UniversalClient {
	if o.IsClusterMode {
		cluster := o.Cluster()
		cluster.ClusterSlots, cluster.DisableRoutingPolicies = slots, slots != nil
		cluster.ClusterStateReloadInterval = 2 * time.Second
		return redis.NewClusterClient(cluster)
	}
	client := redis.NewUniversalClient(o)
	if o.MasterName != "" {
		client.AddHook(unknownMaster{o.MasterName})
	}
	return client
}

// dialerOf returns the dialer of options, or that of go-redis.
func dialerOf(o *redis.UniversalOptions) dialer {
	if o.Dialer != nil {
		return o.Dialer
	}
	return redis.NewDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig})
}

// dialLate makes a dialer return a connection whose first use fails, in place of an error. After some
// failed dials, go-redis would try only once a second whether a server is there again.
func dialLate(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return failedConn{err}, nil
		}
		return conn, nil
	}
}

// A failedConn is a connection that could not be opened.
type failedConn struct{ err error }

func (c failedConn) Read([]byte) (int, error)       { return 0, c.err }
func (c failedConn) Write([]byte) (int, error)      { return 0, c.err }
func (failedConn) Close() error                     { return nil }
func (failedConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (failedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (failedConn) SetDeadline(time.Time) error      { return nil }
func (failedConn) SetReadDeadline(time.Time) error  { return nil }
func (failedConn) SetWriteDeadline(time.Time) error { return nil }

// reload makes a Cluster client read the map of slots again, at most five times a second.
func reload(ctx context.Context, rdb redis.UniversalClient) {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
}

// countEnds makes a dialer count the connections that end. go-redis replaces an idle connection that
// the server has closed, and no call fails. A master that a Sentinel has replaced may serve such a
// connection for seconds, and its writes of that time are lost.
func countEnds(dial dialer, ended *atomic.Int64) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		counted := &countedConn{conn, ended}
		if socket, ok := conn.(syscall.Conn); ok {
			return countedSocket{Conn: counted, socket: socket}, nil
		}
		return counted, nil
	}
}

// A countedConn counts its end.
type countedConn struct {
	net.Conn
	ended *atomic.Int64
}

// Close closes the connection.
func (c *countedConn) Close() error {
	err := c.Conn.Close()
	c.ended.Add(1)
	return err
}

// A countedSocket is a countedConn of which go-redis can ask the socket whether the server has closed it.
type countedSocket struct {
	net.Conn
	socket syscall.Conn
}

// SyscallConn returns the socket.
func (c countedSocket) SyscallConn() (syscall.RawConn, error) { return c.socket.SyscallConn() }

// unknownMaster replaces the error of a connection for which no Sentinel knows the master. As
// go-redis returns it, it is a redis.Nil, which callers take for the answer "there is no value".
type unknownMaster struct{ name string }

func (u unknownMaster) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if errors.Is(err, redis.Nil) {
			err = fmt.Errorf("redis: all sentinels do not know the master %q", u.name)
		}
		return conn, err
	}
}

func (unknownMaster) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (unknownMaster) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Connect checks within limit that Redis can be used for reading, and reads the number of
// partitions. It logs a warning if the eviction policy may drop stored items.
//
// It returns ErrUnreachable if Redis does not answer, or only with transient errors. It returns
// ErrUnusable if waiting does not help, and ErrPartitions as described at loadPartitions.
func (c *Client) Connect(ctx context.Context, limit time.Duration) error {
	return c.within(ctx, limit, func(ctx context.Context) error {
		if err := c.ping(ctx); err != nil {
			return err
		}
		return c.loadPartitions(ctx)
	})
}

// Writable checks within limit that this user may write to this server; a replica refuses writes.
// It changes no key. It returns the errors of Connect.
func (c *Client) Writable(ctx context.Context, limit time.Duration) error {
	return c.within(ctx, limit, func(ctx context.Context) error {
		return c.try(ctx, "write", func(ctx context.Context) error {
			return c.rdb.HDel(ctx, c.keys.space(), "").Err()
		})
	})
}

// within runs f for at most limit and turns its error into one of Connect.
func (c *Client) within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer c.outage.silence()()
	err := f(limited)
	switch {
	case err == nil || errors.Is(err, ErrPartitions):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, c, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrUnusable, c, err)
}

// ping checks that Redis answers and can run the scripts of this package.
func (c *Client) ping(ctx context.Context) error {
	var policy map[string]string
	compared := false
	err := c.try(ctx, "ping", func(ctx context.Context) error {
		node, err := c.node(ctx)
		if err == nil {
			err = node.Ping(ctx).Err()
		}
		if err == nil {
			err = c.probe(ctx, node)
		}
		if err == nil { // the command may be forbidden: then the policy stays unknown
			policy = node.ConfigGet(ctx, "maxmemory-policy").Val()
		}
		if err != nil && c.isTransient(err) && !compared {
			compared = true
			if reason := c.compareTLS(ctx); reason != nil {
				return reason
			}
		}
		return err
	})
	if found := policy["maxmemory-policy"]; found != "" && found != "noeviction" {
		c.log.WarnContext(ctx, "redis may drop queued items when its memory is full: set maxmemory-policy to noeviction",
			"redis", c.String(), "policy", found)
	}
	return err
}

// probe tries a feature of Redis 6.2 that every role may use: a range that excludes its start. It
// does not compare versions, since compatible servers choose their version freely.
func (c *Client) probe(ctx context.Context, node redis.UniversalClient) error {
	err := node.XRangeN(ctx, c.keys.stream(""), "(0", "+", 1).Err()
	switch {
	case err == nil || isDenial(err): // a denial is reported by the next call
		return nil
	case !hasCode(err, "Invalid stream ID") && !hasCode(err, "unknown command"):
		return err
	}
	hello, _ := node.Do(ctx, "hello", 2).Slice() // on an error the version stays empty
	about := list(hello).fields()
	if about["mode"] == "sentinel" {
		return fmt.Errorf("the server is a Sentinel: use redis+sentinel://host:port/master (%w)", err)
	}
	return fmt.Errorf("the server has to be Redis 6.2 or later, or compatible with it; its version is %q (%w)", about["version"], err)
}

// compareTLS finds out whether a connection failed because only one end uses TLS. It returns nil if
// this is not the cause. It sends no password.
func (c *Client) compareTLS(ctx context.Context) error {
	o := c.target.options
	if strings.HasPrefix(o.Addrs[0], "/") {
		return nil
	}
	dial := o.Dialer
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := dial(ctx, "tcp", o.Addrs[0])
	if err != nil {
		return nil
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // ctx also bounds the handshake
	}
	if o.TLSConfig == nil {
		return tryTLS(ctx, conn, o.Addrs[0])
	}
	answer := make([]byte, 1)
	if _, err = conn.Write([]byte("PING\r\n")); err == nil {
		_, err = conn.Read(answer)
	}
	if err == nil && (answer[0] == '+' || answer[0] == '-') {
		return errors.New("the server has no TLS: use redis:// if that is meant")
	}
	return nil
}

// tryTLS starts a TLS handshake and returns an error if the server speaks TLS, even if its
// certificate is invalid. Otherwise it returns nil.
func tryTLS(ctx context.Context, conn net.Conn, address string) error {
	host, _, _ := net.SplitHostPort(address)
	err := tls.Client(conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	var refused *tls.CertificateVerificationError
	var alert *net.OpError
	if err == nil || errors.As(err, &refused) || errors.As(err, &alert) && alert.Op == "remote error" {
		return errors.New("the server wants TLS: use rediss://")
	}
	return nil
}
