// Package broker holds every Redis key, command and script. It moves frames and names and does not
// depend on the types of users.
//
// Each method of Client is one operation of the protocol. An operation that is safe to repeat
// retries transient errors until its context ends. The methods are safe for concurrent use.
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
	"github.com/dqbridge/dqbridge/internal/trace"
)

// Options configures a Client beyond its address.
type Options struct {
	Log      *slog.Logger // nil: silent
	Username string       // with Password, replaces those of the address
	Password string
	TLS      *tls.Config // nil: as the address says
	Dialer   dialer      // nil: net.Dialer
	Replicas int         // number of replicas that must confirm the writes of a scatter; 0: none

	Partitions int // of the namespace, see Connect; 0: as the address says

	Tracer trace.Tracer // makes spans of batches; nil: none
	Meter  trace.Meter  // counts items; nil: none

	InProcess bool // the server runs in this process, see Client.Patience
	Shared    bool // all goroutines share one connection to each server, see bundler
}

// A Client is the connection to one partition of a namespace in one Redis. The caller closes it.
type Client struct {
	rdb    redis.UniversalClient
	target target
	keys   keys
	log    *slog.Logger
	outage outage
	clock  clock
	tracer trace.Tracer
	meter  trace.Meter
	calls  *callMeter // of all partitions

	index      int       // number of this partition
	partitions []*Client // all partitions, this one included
	replicas   int
	readings   stageCache   // parsed records of stages
	birth      atomic.Value // of the partition, a string, as this process joined it; see Lost
	failures   atomic.Int64
	ended      *atomic.Int64 // connections of all partitions that have ended
	opened     time.Time     // when Open was called; heartbeats count from there
}

// Open parses the address, see parseURL. It connects on the first use.
func Open(address string, opts Options) (*Client, error) {
	t, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	t.options.Dialer, t.inProcess, t.shared = recoverDialer(opts.Dialer), opts.InProcess, opts.Shared
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
	c := &Client{target: t, keys: keysOf(t.namespace, 0), log: log, replicas: opts.Replicas, tracer: opts.Tracer, meter: opts.Meter, calls: new(callMeter),
		ended: new(atomic.Int64), opened: time.Now()}
	options := t.universal(0)
	options.Dialer = dialLate(countEnds(dialerOf(options), c.ended))
	c.rdb = t.connect(options, nil)
	if t.shared {
		bundleCalls(c.rdb)
	}
	c.partitions = []*Client{c}
	return c, nil
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// recoverDialer turns a panic of the user's dialer into an error. go-redis dials in its own
// goroutines, in which no caller could recover it.
func recoverDialer(dial dialer) dialer {
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

// Tracer makes the spans of the batches that the process stores, runs and reads. It is nil if the
// process makes none.
func (c *Client) Tracer() trace.Tracer { return c.tracer }

// Meter counts the items that the process stores, runs and reads. It is nil if the process counts none.
func (c *Client) Meter() trace.Meter { return c.meter }

// node returns the client of the server that holds the namespace: the only server, or a master of
// the cluster.
func (c *Client) node(ctx context.Context) (redis.UniversalClient, error) {
	return masterOf(ctx, c.rdb, c.keys)
}

func masterOf(ctx context.Context, rdb redis.UniversalClient, k keys) (redis.UniversalClient, error) {
	cluster, ok := rdb.(*redis.ClusterClient)
	if !ok {
		return rdb, nil
	}
	return cluster.MasterForKey(ctx, k.prefix)
}

// universal returns the options of a client. If wait is positive, the client is a reader: it has
// one connection, and a blocking read on it may take up to wait.
func (t target) universal(wait time.Duration) *redis.UniversalOptions {
	o := t.options
	o.Protocol = 2
	o.MaxRetries = -1 // try repeats, since it knows which commands are safe to repeat
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.DialTimeout = 2 * time.Second
	o.ReadTimeout = replyTimeout
	if t.shared || wait > 0 {
		o.PoolSize, o.PipelinePoolSize = 1, -1 // go-redis has another pool for pipelines
	}
	if t.shared && wait == 0 { // the bundler bounds the connections: a wait in the pool would be one more
		o.PoolSize, o.MaxIdleConns = sharedPool, 1
	}
	if t.inProcess && wait == 0 {
		o.PoolSize = max(o.PoolSize, inProcessPool)
	}
	if wait > 0 {
		o.ReadTimeout = wait + replyTimeout
		o.ConnMaxIdleTime = -1 // other processes would take the closed connection for the death of this one
	}
	return &o
}

// replyTimeout bounds the time until a reply, or that by which a blocked read exceeds its wait.
const replyTimeout = 5 * time.Second

// sharedPool is more than the connections that a bundler uses at once.
const sharedPool = 8

// inProcessPool is more than the connections to a server in the process that a client uses at once, or still
// dials. In tests in virtual time, none may wait for one: go-redis keeps the timers of such waits for the whole
// process, and one that a bubble of testing/synctest has made is fatal to the next bubble.
const inProcessPool = 1024

// patienceFactor is the factor of Patience for a server in this process.
const patienceFactor = 30

// Patience returns the time to wait for a hint before reading without one. It is d, or 30 times d
// if the server is in this process, since no connection can lose a hint there.
func (c *Client) Patience(d time.Duration) time.Duration {
	if c.target.inProcess {
		return patienceFactor * d
	}
	return d
}

// String returns the address without user and password.
func (c *Client) String() string { return c.target.label }

// Label returns an address without its secrets and options, or "" if the address is invalid.
func Label(address string) string {
	t, _ := parseURL(address)
	return t.label
}

// Close closes all connections of all partitions.
func (c *Client) Close() error { return c.rdb.Close() }

// Failures returns the number of calls whose first attempt failed with a transient error, plus the
// number of connections that have ended. If it has grown, Redis may have lost writes in a restart or
// a failover; callers then compare their state with the stored one.
func (c *Client) Failures() int64 { return c.failures.Load() + c.ended.Load() }

// try calls f and repeats it after each transient error, with a pause that grows from 10 ms to a quarter of
// a second, or to 2 s while Redis has no memory or no connection left, until ctx ends. f must be safe to
// repeat.
func (c *Client) try(ctx context.Context, what string, f func(context.Context) error) error {
	err := f(ctx)
	if err == nil || errors.Is(err, redis.Nil) {
		c.answered(ctx)
		return err
	}
	if c.isTransient(err) {
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
		case ctx.Err() != nil && errors.Is(last, ctx.Err()): // the end of ctx is the only cause
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case ctx.Err() != nil && errors.Is(err, ctx.Err()): // last is the cause, and the end of ctx stopped the attempts
			return fmt.Errorf("%s: %w (%w)", what, last, context.Cause(ctx))
		case !c.isTransient(err):
			return fmt.Errorf("%s: %w", what, c.withRemedy(err))
		}
		if ctx.Err() == nil { // otherwise the end of ctx aborted this attempt
			c.failed(ctx, what, err)
			if !errors.Is(err, os.ErrDeadlineExceeded) { // a timeout explains less than the error before it
				last = err
				switch {
				case isFull(err):
					last = fmt.Errorf("redis is full: %w", err)
				case c.isCrowded(err):
					last = fmt.Errorf("%s: %w", crowdedText, err)
				}
			}
		}
		if Pause(ctx, pause+time.Duration(rand.Int64N(int64(pause)))); ctx.Err() != nil {
			return fmt.Errorf("%s: %w (%w)", what, last, context.Cause(ctx))
		}
		longest := time.Second / 8
		if isFull(err) || c.isCrowded(err) {
			longest = time.Second
		}
		pause = min(2*pause, longest)
	}
}

// Quiet stops go-redis from writing to stderr, in the whole process. Commands print their own
// messages.
func Quiet() { redis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
