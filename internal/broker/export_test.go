package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// What tests of this package see of its inside.

// Raw is the connection.
func (c *Client) Raw() redis.UniversalClient { return c.rdb }

// Key is the name of a key without the namespace's prefix, in full.
func (c *Client) Key(name string) string { return c.keys.prefix + name }

// IsPassing is isPassing.
var IsPassing = isTransientError

// Parsed is what parseURL makes of an address.
func Parsed(address string) (o redis.UniversalOptions, namespace, label string, err error) {
	t, err := parseURL(address)
	return t.options, t.namespace, t.label, err
}

// Fence declares a process dead that was seen with a beat.
func (l *Lease) Fence(ctx context.Context, r Role, id, beat string) error {
	_, err := l.fence(ctx, []staleProcess{{role: r, id: id, beat: beat}}, "a test says so")
	return err
}

// Seen is how many processes the last census has seen.
func (l *Lease) Seen() int { return len(l.seen) }

// Rest waits until nothing goes on in the background.
func (l *Lease) Rest() { l.Close() }

// Die requeues what a worker holds, as if it had died.
func (c *Client) Die(ctx context.Context, worker string) error {
	return c.eachStage(ctx, func(queues []string) error {
		return c.reclaim(ctx, reclaimScope{worker: worker, crashes: 1, names: []string{worker}}, queues)
	})
}

// Late is the gather as it was before it had acknowledged anything.
func (g Gather) Late() Gather {
	g.acks = new(atomic.Int64)
	return g
}

// Aged makes a process one that has had its connection for longer.
func (l *Lease) Aged(d time.Duration) {
	l.sign.mu.Lock()
	defer l.sign.mu.Unlock()
	l.sign.since = l.sign.since.Add(-d)
}

// Suspects are those whose connection was missing at the last look.
func (l *Lease) Suspects() (marks []string) {
	for mark, s := range l.seen {
		if s.conn != "" {
			marks = append(marks, mark)
		}
	}
	return marks
}

// SizeIn is for tests of what ids say.
var SizeIn = sizeIn

// Remembered is how many records of stages the client keeps in memory.
func (c *Client) Remembered() int {
	c.readings.mu.Lock()
	defer c.readings.mu.Unlock()
	return len(c.readings.last)
}

// CountFailure counts a call that has failed at first.
func (c *Client) CountFailure() { c.failures.Add(1) }
