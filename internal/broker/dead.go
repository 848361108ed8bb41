package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// ErrDeadLetterNotFound says that no dead letter has that id, or that it was deleted.
var ErrDeadLetterNotFound = errors.New("no such dead letter")

// A DeadLetter is an entry that could not be processed, as it stood in its queue. Fields that are
// missing from a malformed one are zero.
type DeadLetter struct {
	Entry  Entry
	Why    batch.Failure
	At     time.Time // by the clock of Redis
	Deaths []Death   // of the last workers that died with it, at most five, the oldest first
}

// A Death is the death of a worker that held an entry.
type Death struct {
	Worker string
	Host   string    // "" if it is not known
	At     time.Time // time at which the entry was requeued, by the clock of Redis
}

// parseDeaths parses the field d of an entry: a line for each death.
func parseDeaths(text string) (deaths []Death) {
	for line := range strings.Lines(text) {
		fields := append(strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3), "", "")
		deaths = append(deaths, Death{Worker: fields[0], At: time.UnixMilli(parseInt(fields[1])), Host: fields[2]})
	}
	return deaths
}

// isEntryID reports whether a text has the form of the id of an entry.
func isEntryID(text string) bool {
	ms, seq, found := strings.Cut(text, "-")
	_, err := strconv.ParseUint(ms, 10, 64)
	_, failed := strconv.ParseUint(seq, 10, 64)
	return found && err == nil && failed == nil
}

func deadLetterOf(raw list) DeadLetter {
	d := DeadLetter{Entry: entryOf(StreamRef{}, raw)}
	fields := raw.list(1).fields()
	d.Entry.Queue, d.Why, d.Deaths = fields["q"], batch.ParseFailure([]byte(fields["why"])), parseDeaths(fields["d"])
	d.Entry.Stamp = fields["t"] // the id has the time of the dead letter
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
	if !isEntryID(id) {
		return DeadLetter{}, fmt.Errorf("%w: %q is not the id of one: an id is like 1764446400000-0", ErrDeadLetterNotFound, id)
	}
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

// Retry scatters the items of a dead letter into a queue of a partition, as a new source, and
// deletes the dead letter. It blocks while the queue is full. It is safe to repeat with the same
// queue.
func (c *Client) Retry(ctx context.Context, d DeadLetter, to *Client, q Queue) error {
	failed := func(err error) error { return fmt.Errorf("retry dead letter %s: %w", d.Entry.ID, err) }
	if err := d.Entry.Check(); err != nil {
		return failed(fmt.Errorf("it is not a valid batch: %w", err))
	}
	name := "dead-" + d.Entry.ID
	if to != c {
		name = fmt.Sprintf("dead-%d.%s", c.index, d.Entry.ID)
	}
	s, stored, err := to.Source(ctx, name, q, 0)
	switch {
	case errors.Is(err, ErrEnded) && stored == int64(d.Entry.N): // an earlier call has stored the items
		return c.DeleteDeadLetter(ctx, d)
	case errors.Is(err, ErrElsewhere):
		return failed(fmt.Errorf("an earlier retry has begun to add its items to another queue; retry it to that one: %w", err))
	case errors.Is(err, ErrSealed):
		return failed(fmt.Errorf("queue %q takes no retry: %w; retry the letter to the first queue of a flow that is not sealed", q.Name, ErrSealed))
	case err != nil:
		return failed(err)
	}
	again := d.Entry.Batch
	again.Source, again.First = s.Name, 0
	for {
		got, err := to.Scatter(ctx, s, "", Window{}, []Parcel{{Batch: again, Trace: d.Entry.Trace()}})
		if err != nil {
			return err
		}
		if got.Stored == int64(again.N) {
			break
		}
		select {
		case <-ctx.Done():
			return failed(fmt.Errorf("queue %s is full: %w", q.Name, context.Cause(ctx)))
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := to.Finish(ctx, s, int64(again.N)); err != nil {
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
