package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file exports internals for the tests.

// Raw returns the connection.
func (c *Client) Raw() redis.UniversalClient { return c.rdb }

// Key returns the full name of a key.
func (c *Client) Key(name string) string { return c.keys.prefix + name }

// IsTransientError is isPassing.
var IsTransientError = isTransientError

// Parsed returns the result of parseURL.
func Parsed(address string) (o redis.UniversalOptions, namespace, label string, err error) {
	t, err := parseURL(address)
	return t.options, t.namespace, t.label, err
}

// Fence declares a process dead if beat is still its last heartbeat.
func (l *Lease) Fence(ctx context.Context, r Role, id, beat string) error {
	_, err := l.fence(ctx, []staleProcess{{role: r, id: id, beat: beat}}, "a test says so")
	return err
}

// Seen returns the number of processes in the last check.
func (l *Lease) Seen() int { return len(l.seen) }

// Rest waits for the clean-ups in the background.
func (l *Lease) Rest() { l.Close() }

// Die requeues the entries of a worker, as after its death.
func (c *Client) Die(ctx context.Context, worker string) error {
	return c.eachStage(ctx, func(queues []string) error {
		return c.reclaim(ctx, reclaimScope{worker: worker, crashes: 1, names: []string{worker}}, queues)
	})
}

// Late returns the gather as it was before its first acknowledgement.
func (g Gather) Late() Gather {
	g.acks = new(atomic.Int64)
	return g
}

// Aged makes the liveness connection of a process older by d.
func (l *Lease) Aged(d time.Duration) {
	l.liveness.mu.Lock()
	defer l.liveness.mu.Unlock()
	l.liveness.since = l.liveness.since.Add(-d)
}

// Suspects returns the processes whose connection was missing at the last look.
func (l *Lease) Suspects() (marks []string) {
	for mark, s := range l.seen {
		if s.conn != "" {
			marks = append(marks, mark)
		}
	}
	return marks
}

// SizeIn is sizeIn.
var SizeIn = sizeIn

// Remembered returns the number of cached stages.
func (c *Client) Remembered() int {
	c.readings.mu.Lock()
	defer c.readings.mu.Unlock()
	return len(c.readings.last)
}

// CountFailure counts a call whose first attempt has failed.
func (c *Client) CountFailure() { c.failures.Add(1) }

// RemoveStage removes a stage as it was read.
func (c *Client) RemoveStage(ctx context.Context, s Stage) (done bool, err error) {
	return c.unstage(ctx, removal{stage: s, gone: s.Outs})
}

// ScriptNames is scriptNames.
var ScriptNames = scriptNames

// Expire looks at a queue that expires, as the watcher does.
func (c *Client) Expire(ctx context.Context, queue string) (gone []string, err error) {
	return c.expire(ctx, queue)
}
