// Package broker is all of Redis: every key, command and script. It moves
// frames and names and knows no type of a user.
//
// Each method is one verb of the protocol, repeats what may be repeated until
// its context ends, and can be called from many goroutines at once.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/logging"
)

// Options is what an address cannot say or should not.
type Options struct {
	Log      *slog.Logger // nil: silent
	Username string       // with Password, instead of those in the address
	Password string
	TLS      *tls.Config // nil: what the address says
	Dialer   dialer      // nil: the network
	Replicas int         // that must have what a scatter has stored

	Partitions int // of the namespace, see Connect; 0: what the address says

	InProcess bool // the server is in this process, see Client.Patience
}

// A Client is the connection to one Redis, and a partition of a namespace there.
// Close it.
type Client struct {
	rdb    redis.UniversalClient
	target target
	keys   keys
	log    *slog.Logger
	outage outage

	index    int       // of the partition
	parts    []*Client // all partitions, this one among them
	replicas int
	readings readings // of stages
	failures atomic.Int64
}

// Open parses the address, see ParseURL, and connects when it is first used.
func Open(address string, opts Options) (*Client, error) {
	t, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	t.options.Dialer, t.inProcess = contain(opts.Dialer), opts.InProcess
	if t.inProcess {
		t.label = "embedded"
	}
	if opts.Password != "" {
		t.options.Username, t.options.Password = opts.Username, opts.Password
	}
	if opts.TLS != nil {
		t.options.TLSConfig = opts.TLS.Clone()
	}
	log := logging.OrSilent(opts.Log)
	if opts.Partitions > 0 {
		t.partitions = opts.Partitions
	}
	c := &Client{rdb: t.connect(t.universal(0)), target: t, keys: keyed(t.namespace, 0), log: log, replicas: opts.Replicas}
	c.parts = []*Client{c}
	return c, nil
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// contain makes an error of a panic in a dialer of the user: the client dials in goroutines of its own.
func contain(dial dialer) dialer {
	if dial == nil {
		return nil
	}
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		defer func() {
			if r := recover(); r != nil {
				err = batch.NewCrash("the Dialer", r)
			}
		}()
		return dial(ctx, network, addr)
	}
}

// node is the server that holds the namespace: the one, or a cluster's master.
func (c *Client) node(ctx context.Context) (redis.UniversalClient, error) {
	return master(ctx, c.rdb, c.keys)
}

func master(ctx context.Context, rdb redis.UniversalClient, k keys) (redis.UniversalClient, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return rdb, nil
	}
	return cluster.MasterForKey(ctx, k.prefix)
}

// universal returns options for a client; a reader has one connection of its
// own and waits on it for as long as wait.
func (t target) universal(wait time.Duration) *redis.UniversalOptions {
	o := t.options
	o.Protocol = 2
	o.MaxRetries = -1 // repeated by try, which knows what may be repeated
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.DialTimeout = 2 * time.Second
	o.ReadTimeout = 5 * time.Second
	if wait > 0 {
		o.ReadTimeout, o.PoolSize = wait+5*time.Second, 1
		o.ConnMaxIdleTime = -1 // others would take its end for that of the process
	}
	return &o
}

// inProcess is how many times longer Patience is if the server is in this process.
const inProcess = 30

// Patience returns how long to wait for a hint before looking without one: d, or longer if
// the server is in this process, where no hint is lost with a connection.
func (c *Client) Patience(d time.Duration) time.Duration {
	if c.target.inProcess {
		return inProcess * d
	}
	return d
}

// String names the server, without user and password.
func (c *Client) String() string { return c.target.label }

// Label is an address without its secrets and options, empty if it is none.
func Label(address string) string {
	t, _ := parseURL(address)
	return t.label
}

// Close ends all connections.
func (c *Client) Close() error { return c.rdb.Close() }

// Failures is how many calls have failed at first and were, or are being, made
// again. Where it has grown, Redis may have lost writes and be back where it
// stood before: who has read something looks at what it holds there.
func (c *Client) Failures() int64 { return c.failures.Load() }

// try repeats f, which must be safe to repeat, while its error is a passing
// one, until ctx ends.
func (c *Client) try(ctx context.Context, what string, f func(context.Context) error) error {
	err := f(ctx)
	if err == nil || errors.Is(err, redis.Nil) {
		c.answered(ctx)
		return err
	}
	if c.passes(err) {
		c.failures.Add(1)
	}
	done := c.outage.wait()
	defer done()
	pause := 10 * time.Millisecond
	for last := err; ; err = f(ctx) {
		switch {
		case err == nil || errors.Is(err, redis.Nil):
			return err
		case errors.Is(err, redis.ErrClosed):
			return fmt.Errorf("%s: the connection to %s is closed: %w", what, c, err)
		case ctx.Err() != nil && errors.Is(last, ctx.Err()): // says less than the cause
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case ctx.Err() != nil && errors.Is(err, ctx.Err()): // says less than the answer before
			return fmt.Errorf("%s: %w (%w)", what, last, context.Cause(ctx))
		case !c.passes(err):
			return fmt.Errorf("%s: %w", what, c.explained(err))
		}
		if ctx.Err() == nil { // otherwise the end of ctx cut this attempt short
			c.failed(ctx, what, err)
			if !errors.Is(err, os.ErrDeadlineExceeded) { // an attempt that ran out of time says less than the one before
				last = err
			}
		}
		timer := time.NewTimer(pause + time.Duration(rand.Int64N(int64(pause))))
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s: %w (%w)", what, last, context.Cause(ctx))
		case <-timer.C:
		}
		pause = min(2*pause, time.Second)
	}
}

// Quiet stops the client library from writing to stderr by itself, for the
// whole process: a command says what there is to say.
func Quiet() { redis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
