package consumer

import (
	"context"
	"runtime"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	// ackDelay is how long the committer waits after an acknowledgement, so that the next one has
	// more items. If items arrive one by one, an acknowledgement for each would cost Redis as much
	// as the items do, and delay the next item.
	ackDelay = time.Millisecond
	// ackMany is how many finished entries are acknowledged without a delay.
	ackMany = 4
	// ackEager is how many acknowledgements are written without a delay after one that unblocked a
	// producer.
	ackEager = 64
)

// A committer writes the acknowledgements of a tracker to Redis, each with all items delivered
// since the last one.
type committer struct {
	client  *broker.Client
	gather  broker.Gather
	tracker *tracker
	keep    time.Duration        // lifetime of payloads that stay in Redis, 0: they are deleted
	kept    func(payload string) // called for each of them
}

// run writes acknowledgements until all items are acknowledged.
func (c *committer) run(ctx context.Context) error {
	for {
		wrote, last, err := c.write(ctx)
		if last || err != nil {
			return err
		}
		if wrote {
			if err := c.delay(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.tracker.wake:
			runtime.Gosched() // the goroutine that delivered the item continues first: others may wait for it
		}
	}
}

// delay waits for more items to acknowledge, at most for ackDelay.
func (c *committer) delay(ctx context.Context) error {
	timer := time.NewTimer(ackDelay)
	defer timer.Stop()
	defer c.tracker.resume()
	for c.tracker.coalesce() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return nil
		case <-c.tracker.wake:
		}
	}
	return nil
}

// write writes one acknowledgement. wrote reports whether there was one; last, that there will be
// no other one.
func (c *committer) write(ctx context.Context) (wrote, last bool, err error) {
	nacked, err := c.writeNacks(ctx)
	if err != nil {
		return true, false, err
	}
	entries, marks, last := c.tracker.take()
	if len(entries) == 0 && len(marks) == 0 {
		return nacked, last, nil
	}
	unblocked, err := c.client.Ack(ctx, c.gather, entries, marks, c.keep, c.tracker.rootOf)
	if err != nil {
		c.tracker.restore(entries, marks)
		return true, false, err
	}
	c.tracker.confirm(entries, marks)
	for _, e := range entries {
		if c.keep > 0 && e.Payload != "" {
			c.kept(e.Payload)
		}
	}
	if unblocked {
		c.tracker.setEager()
	}
	return true, last, nil
}

// flush writes the acknowledgements that there are now.
func (c *committer) flush(ctx context.Context) error {
	for {
		wrote, last, err := c.write(ctx)
		if !wrote || last || err != nil {
			return err
		}
	}
}

// urgency decides whether new acknowledgements are written at once, or wait for more of them. The
// lock of the tracker guards it.
type urgency struct {
	immediate bool // write the next one at once
	eager     int  // so many acknowledgements are written at once
	waiting   bool // the committer waits for more items
}

// urgent reports whether acknowledgements are written at once, if so many entries are finished.
func (u *urgency) urgent(finished int) bool { return u.immediate || u.eager > 0 || finished >= ackMany }

// written counts an acknowledgement.
func (u *urgency) written() { u.eager = max(0, u.eager-1) }
