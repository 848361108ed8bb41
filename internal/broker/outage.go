package broker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// hiccup is how long a trouble may last before it is worth a word.
	hiccup = 100 * time.Millisecond
	// settled is for how long nothing may fail until a trouble is over.
	settled = time.Second
)

// An outage is a trouble with Redis as all calls of a Client together have it:
// told once when it begins and once when it is over.
type outage struct {
	on atomic.Bool // so that a call that is answered costs no lock

	mu          sync.Mutex
	since, last time.Time // of the first failure and of the latest
	waiting     int       // calls that failed and are being repeated
	told        bool
}

// failed notes that a call met a passing error.
func (c *Client) failed(ctx context.Context, verb string, err error) {
	o, now := &c.outage, time.Now()
	o.mu.Lock()
	if !o.on.Load() {
		o.since = now
		o.on.Store(true)
	}
	o.last = now
	tell := !o.told && now.Sub(o.since) >= hiccup
	o.told = o.told || tell
	o.mu.Unlock()
	if tell {
		c.log.LogAttrs(ctx, slog.LevelWarn, "redis does not answer as it should; trying again until it does",
			slog.String("redis", c.String()), slog.String("verb", verb), slog.Any("err", err))
	}
}

// answered notes that a call got through.
func (c *Client) answered(ctx context.Context) {
	o := &c.outage
	if !o.on.Load() {
		return
	}
	o.mu.Lock()
	over := o.on.Load() && o.waiting == 0 && time.Since(o.last) >= settled
	tell, lasted := over && o.told, o.last.Sub(o.since)
	if over {
		o.told = false
		o.on.Store(false)
	}
	o.mu.Unlock()
	if tell {
		c.log.LogAttrs(ctx, slog.LevelInfo, "redis answers again",
			slog.String("redis", c.String()), slog.Duration("trouble", lasted.Round(time.Millisecond)))
	}
}

// hush keeps a trouble from being told until speak is called: whoever waits is
// told by the error.
func (o *outage) hush() (speak func()) {
	say := func(told bool) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.told = told
	}
	say(true)
	return func() { say(false) }
}

// wait keeps the outage open until done is called, while a call is repeated.
func (o *outage) wait() (done func()) {
	add := func(n int) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.waiting += n
	}
	add(1)
	return func() { add(-1) }
}

// saw notes how a call ended that is not repeated here.
func (c *Client) saw(ctx context.Context, verb string, err error) {
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		c.answered(ctx)
	case c.passes(err) && ctx.Err() == nil:
		c.failed(ctx, verb, err)
	}
}
