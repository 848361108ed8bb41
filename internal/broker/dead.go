package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// ErrDeadLetterNotFound says that no dead letter has that id, or that it was deleted.
var ErrDeadLetterNotFound = errors.New("no such dead letter")

// A DeadLetter is an entry that could not be processed, as it stood in its queue. Fields that are
// missing from a malformed one are zero.
type DeadLetter struct {
	Entry Entry
	Why   batch.Failure
	At    time.Time // by the clock of Redis
}

func deadLetterOf(raw list) DeadLetter {
	d := DeadLetter{Entry: entryOf(StreamRef{}, raw)}
	fields := raw.list(1).fields()
	d.Entry.Queue, d.Why = fields["q"], batch.ParseFailure([]byte(fields["why"]))
	var ms, seq int64
	if _, err := fmt.Sscanf(d.Entry.ID, "%d-%d", &ms, &seq); err == nil {
		d.At = time.UnixMilli(ms)
	}
	return d
}

// Dead lists at most count dead letters, the oldest first, that follow the id after. "" lists from
// the start.
func (c *Client) Dead(ctx context.Context, after string, count int) ([]DeadLetter, error) {
	start := "-"
	if after != "" {
		start = "(" + after
	}
	return c.deadLetters(ctx, "list dead letters", start, "+", count)
}

func (c *Client) deadLetters(ctx context.Context, what, start, stop string, count int) (letters []DeadLetter, err error) {
	var reply any
	err = c.try(ctx, what, func(ctx context.Context) (err error) {
		reply, err = c.rdb.Do(ctx, "XRANGE", c.keys.dead(), start, stop, "COUNT", count).Result()
		return err
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	for i := range asList(reply) {
		letters = append(letters, deadLetterOf(asList(reply).list(i)))
	}
	return letters, nil
}

// Letter reads a dead letter with its frame.
func (c *Client) Letter(ctx context.Context, id string) (DeadLetter, error) {
	letters, err := c.deadLetters(ctx, "read dead letter "+id, id, id, 1)
	if err != nil {
		return DeadLetter{}, err
	}
	if len(letters) == 0 {
		return DeadLetter{}, fmt.Errorf("%w: %q", ErrDeadLetterNotFound, id)
	}
	entries := []Entry{letters[0].Entry}
	err = c.Fetch(ctx, nil, entries)
	letters[0].Entry = entries[0]
	return letters[0], err
}

// Retry scatters the items of a dead letter into their queue again, as a new source, and deletes
// the dead letter. It blocks while the queue is full. It is safe to repeat.
func (c *Client) Retry(ctx context.Context, id string) error {
	d, err := c.Letter(ctx, id)
	if err != nil {
		return err
	}
	if err := d.Entry.Check(); err != nil {
		return fmt.Errorf("retry dead letter %s: it is not a valid batch: %w", id, err)
	}
	q, err := c.Look(ctx, d.Entry.Queue)
	if err != nil {
		return fmt.Errorf("retry dead letter %s: %w", id, err)
	}
	s, _, err := c.Source(ctx, "dead-"+id, q, 0)
	if errors.Is(err, ErrSealed) {
		err = fmt.Errorf("queue %q takes no retry: %w; scatter the items of the letter into the first queue of the flow", q.Name, ErrSealed)
	}
	if err != nil {
		return fmt.Errorf("retry dead letter %s: %w", id, err)
	}
	again := d.Entry.Batch
	again.Source, again.First = s.Name, 0
	for {
		got, err := c.Scatter(ctx, s, "", Window{}, []Parcel{{Batch: again}})
		if err != nil {
			return err
		}
		if got.Stored == int64(again.N) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("retry dead letter %s: queue %s is full: %w", id, q.Name, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := c.Finish(ctx, s, int64(again.N)); err != nil {
		return err
	}
	return c.DeleteDeadLetter(ctx, d)
}

// DeleteDeadLetter deletes a dead letter and its payload.
func (c *Client) DeleteDeadLetter(ctx context.Context, d DeadLetter) error {
	keys := []string{c.keys.dead()}
	if d.Entry.Payload != "" {
		keys = append(keys, c.keys.payload(d.Entry.Payload))
	}
	_, err := c.run(ctx, "delete dead letter "+d.Entry.ID, scripts.deleteDeadLetter, keys, d.Entry.ID)
	return err
}
