package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Resolved holds the results of a batch of futures, each a frame of one item, and the executor
// that waits for them.
type Resolved struct {
	Source  string
	First   int64
	Reply   string
	TTL     time.Duration
	Results [][]byte
}

// FutureID returns the id of the result for the item at an offset of a source.
func FutureID(source string, offset int64) string { return fmt.Sprintf("%s.%d", source, offset) }

// Resolve stores the results that have no value yet and sends HintDone to the executor. It is safe
// to repeat, so it runs before the entry is completed.
func (c *Client) Resolve(ctx context.Context, r Resolved) error {
	return c.try(ctx, "resolve futures", func(ctx context.Context) error {
		what := fmt.Sprintf("%s %d %d", r.Source, r.First, len(r.Results))
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, frame := range r.Results {
				p.SetNX(ctx, c.keys.payload(FutureID(r.Source, r.First+int64(i))), frame, r.TTL)
			}
			p.XAdd(ctx, &redis.XAddArgs{Stream: c.keys.mailbox(r.Reply), NoMkStream: true, MaxLen: 1000,
				Values: []any{"m", HintDone, "w", what}})
			return nil
		})
		if isFull(err) {
			err = c.resolveInScript(ctx, r, what)
		}
		if errors.Is(err, redis.Nil) { // a result exists already, or the executor is gone
			return nil
		}
		return err
	})
}

// resolveInScript is an attempt of Resolve while the memory is full: the entry whose completion
// follows makes room.
func (c *Client) resolveInScript(ctx context.Context, r Resolved, what string) error {
	keys, args := []string{c.keys.mailbox(r.Reply)}, []any{HintDone, what, r.TTL.Milliseconds()}
	for i, frame := range r.Results {
		keys = append(keys, c.keys.payload(FutureID(r.Source, r.First+int64(i))))
		args = append(args, frame)
	}
	return scripts.hint.Run(ctx, c.rdb, keys, args...).Err()
}

// Futures reads results; the frame of a future without a result is nil.
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

func (c *Client) setFuture(ctx context.Context, id string, frame []byte, ttl time.Duration) (set bool, err error) {
	err = c.try(ctx, "set a future", func(ctx context.Context) error {
		err := c.rdb.SetArgs(ctx, c.keys.payload(id), frame, redis.SetArgs{Mode: "NX", TTL: ttl}).Err()
		set = err == nil
		return err
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return set, err
}

// Cancel stores a failure as the result of a future that has none, and sends HintCancel to all
// workers, since one of them may be running it. It reports whether it stored the failure.
func (c *Client) Cancel(ctx context.Context, id string, frame []byte, ttl time.Duration) (bool, error) {
	set, err := c.setFuture(ctx, id, frame, ttl)
	if err != nil || !set {
		return false, err
	}
	return true, c.try(ctx, "send hints to the workers", func(ctx context.Context) error {
		workers, err := c.rdb.ZRange(ctx, c.keys.registry(RoleWorker), 0, -1).Result()
		if err != nil || len(workers) == 0 {
			return err
		}
		_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, worker := range workers {
				p.XAdd(ctx, &redis.XAddArgs{Stream: c.keys.mailbox(worker), NoMkStream: true, MaxLen: 1000,
					Values: []any{"m", HintCancel, "w", id}})
			}
			return nil
		})
		return err
	})
}

// Settled reports for each future whether it has a result.
func (c *Client) Settled(ctx context.Context, ids []string) ([]bool, error) {
	settled := make([]bool, len(ids))
	err := c.try(ctx, "check futures", func(ctx context.Context) error {
		found, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range ids {
				p.Exists(ctx, c.keys.payload(id))
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, there := range found {
			n, err := there.(*redis.IntCmd).Result()
			if err != nil {
				return err
			}
			settled[i] = n == 1
		}
		return nil
	})
	return settled, err
}

// DropFutures deletes results.
func (c *Client) DropFutures(ctx context.Context, ids []string) error {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.keys.payload(id)
	}
	return c.try(ctx, "delete futures", func(ctx context.Context) error { return c.rdb.Unlink(ctx, keys...).Err() })
}
