package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Resolved is an entry whose results are futures, one frame of one item each.
type Resolved struct {
	Entry   Entry
	In      Queue
	Reply   string // mailbox of who waits
	TTL     time.Duration
	Cost    time.Duration
	Results [][]byte
}

// FutureID names the result of the item at an offset of a source.
func FutureID(source string, offset int64) string { return fmt.Sprintf("%s.%d", source, offset) }

// Resolve replaces an entry by the results of its futures, if it is still
// there. A result that was set before, by a cancellation, stays.
func (c *Client) Resolve(ctx context.Context, r Resolved) (Outcome, error) {
	k, e := c.keys, r.Entry
	keys := []string{k.place(e.Place), k.meta(e.Queue), k.mailbox(r.Reply)}
	args := []any{e.ID, r.In.Inc, r.TTL.Milliseconds(), fmt.Sprintf("%s %d %d", e.Source, e.First, e.N), int64(r.Cost)}
	for i, result := range r.Results {
		keys = append(keys, k.payload(FutureID(e.Source, e.First+int64(i))))
		args = append(args, result)
	}
	if e.Payload != "" {
		keys = append(keys, k.payload(e.Payload))
	}
	reply, err := c.run(ctx, "resolve futures", scripts.resolve, keys, args...)
	status, _ := reply.(string)
	return Outcome(status), err
}

// Futures reads results, nil where there is none yet.
func (c *Client) Futures(ctx context.Context, ids []string) ([][]byte, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.keys.payload(id)
	}
	var values []any
	err := c.try(ctx, "read futures", func(ctx context.Context) (err error) {
		values, err = c.rdb.MGet(ctx, keys...).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	frames := make([][]byte, len(ids))
	for i, v := range values {
		if text, ok := v.(string); ok {
			frames[i] = []byte(text)
		}
	}
	return frames, nil
}

// SetFuture sets a result where there is none and reports whether it did.
func (c *Client) SetFuture(ctx context.Context, id string, frame []byte, ttl time.Duration) (set bool, err error) {
	err = c.try(ctx, "set a future", func(ctx context.Context) error {
		err := c.rdb.SetArgs(ctx, c.keys.payload(id), frame, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
		set = err == nil
		return err
	})
	if err == redis.Nil { //nolint:errorlint // try returns it as it is
		err = nil
	}
	return set, err
}

// DropFutures deletes results.
func (c *Client) DropFutures(ctx context.Context, ids []string) error {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.keys.payload(id)
	}
	return c.try(ctx, "delete futures", func(ctx context.Context) error { return c.rdb.Unlink(ctx, keys...).Err() })
}
