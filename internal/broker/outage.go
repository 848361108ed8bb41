package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
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
}

// failed records a transient error of a call.
func (c *Client) failed(ctx context.Context, verb string, err error) {
	o, now := &c.outage, time.Now()
	o.attempts.Add(1)
	o.mu.Lock()
	if !o.active.Load() {
		o.since = now
		o.active.Store(true)
	}
	o.last = now
	tell := !o.logged && now.Sub(o.since) >= warnAfter
	o.logged = o.logged || tell
	o.mu.Unlock()
	if !tell {
		return
	}
	message := "redis calls fail; retrying until they succeed"
	if isFull(err) {
		message = c.fullText(ctx)
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, message, slog.String("redis", c.String()), slog.String("verb", verb), slog.Any("err", err))
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
