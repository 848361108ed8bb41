package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// warnAfter is how long errors may last before the first warning.
	warnAfter = 100 * time.Millisecond
	// recoveredAfter is the time without an error after which an outage is over.
	recoveredAfter = time.Second
	// infoLimit bounds the question for the memory of a full Redis.
	infoLimit = time.Second
)

// An outage is a time in which calls of a Client fail. All calls share it: it is logged once when
// it begins and once when it ends.
type outage struct {
	active   atomic.Bool  // read without the lock, so that a successful call costs none
	attempts atomic.Int64 // that have failed, in all outages

	mu          sync.Mutex
	since, last time.Time // times of the first and of the latest failure
	waiting     int       // calls that failed and are being repeated
	logged      bool
	greeted     time.Time // of the last look for a refusal of new connections

	crowded atomic.Bool // the server refused a new connection at that look
}

// failed records a transient error of a call.
func (c *Client) failed(ctx context.Context, verb string, err error) {
	o, now := &c.outage, time.Now()
	o.attempts.Add(1)
	reload(ctx, c.rdb)
	o.mu.Lock()
	if !o.active.Load() {
		o.since = now
		o.active.Store(true)
	}
	o.last = now
	tell := !o.logged && now.Sub(o.since) >= warnAfter
	o.logged = o.logged || tell
	look := isCutOff(err) && now.Sub(o.greeted) >= time.Second
	if look {
		o.greeted = now
	}
	o.mu.Unlock()
	if look {
		o.crowded.Store(c.refusesClients(ctx))
	}
	if !tell {
		return
	}
	message := "redis calls fail; retrying until they succeed"
	switch {
	case isFull(err):
		message = c.fullText(ctx)
	case c.isCrowded(err):
		message = crowdedText
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, message, slog.String("redis", c.String()), slog.String("verb", verb), slog.Any("err", err))
}

// crowdedText is the cause and the remedy if the server has no connection left.
const crowdedText = "redis refuses new connections: raise its maxclients, or start fewer processes"

// isCutOff reports whether the server has ended a connection, or said that it has too many.
func isCutOff(err error) bool {
	return hasCode(err, "max number of clients") || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF)
}

// isCrowded reports whether err comes from a server that has no connection left.
func (c *Client) isCrowded(err error) bool {
	return hasCode(err, "max number of clients") || c.outage.crowded.Load() && isCutOff(err)
}

// greetingLimit bounds the wait for the first text of a server on a new connection.
const greetingLimit = 200 * time.Millisecond

// refusesClients reports whether the server refuses a new connection since maxclients is reached. The
// server says so before it reads anything. A client that has written by then may lose the text, because
// the server closes the connection with the request unread.
func (c *Client) refusesClients(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, greetingLimit)
	defer cancel()
	o := c.target.options
	network := "tcp"
	if strings.HasPrefix(o.Addrs[0], "/") {
		network = "unix"
	}
	conn, err := dialerOf(&o)(ctx, network, o.Addrs[0])
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(greetingLimit))
	greeting := make([]byte, 64)
	n, _ := conn.Read(greeting)
	return strings.Contains(string(greeting[:n]), "max number of clients")
}

// fullText says that the memory of Redis is full, with figures if the Redis user may read them.
func (c *Client) fullText(ctx context.Context) string {
	const effect = "scatters wait, gathers go on"
	ctx, cancel := context.WithTimeout(ctx, infoLimit)
	defer cancel()
	node, err := c.node(ctx)
	if err != nil {
		return "redis is full; " + effect
	}
	fields := infoFields(node.Info(ctx, "memory").Val()) // empty after an error
	most := parseInt(fields["maxmemory"])
	if most == 0 {
		return "redis is full; " + effect
	}
	const mebi = 1 << 20
	return fmt.Sprintf("redis is full: %.1f of %.1f MiB in use; %s", float64(parseInt(fields["used_memory"]))/mebi, float64(most)/mebi, effect)
}

// FailedAttempts returns the number of attempts of calls that have failed with a transient error. It
// grows during an outage, since calls are repeated.
func (c *Client) FailedAttempts() int64 { return c.outage.attempts.Load() }

// answered records a successful call. It ends the outage if no call is being repeated and no error
// occurred for a second.
func (c *Client) answered(ctx context.Context) {
	o := &c.outage
	if !o.active.Load() {
		return
	}
	o.mu.Lock()
	over := o.active.Load() && o.waiting == 0 && time.Since(o.last) >= recoveredAfter
	tell, lasted := over && o.logged, o.last.Sub(o.since)
	if over {
		o.logged = false
		o.active.Store(false)
	}
	o.mu.Unlock()
	if tell {
		c.log.LogAttrs(ctx, slog.LevelInfo, "redis answers again",
			slog.String("redis", c.String()), slog.Duration("outage", lasted.Round(time.Millisecond)))
	}
}

// silence suppresses the log lines of an outage until speak is called. The caller reports the error
// itself.
func (o *outage) silence() (speak func()) {
	say := func(told bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.logged = told
	}
	say(true)
	return func() { say(false) }
}

// wait keeps the outage open, while a call is repeated, until done is called.
func (o *outage) wait() (done func()) {
	add := func(n int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.waiting += n
	}
	add(1)
	return func() { add(-1) }
}

// observe records the result of a call that does not go through try.
func (c *Client) observe(ctx context.Context, verb string, err error) {
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		c.answered(ctx)
	case c.isTransient(err) && ctx.Err() == nil:
		c.failed(ctx, verb, err)
	}
}
