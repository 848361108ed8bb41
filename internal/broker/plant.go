package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Suspect makes the only entry of a queue without readers a suspect, as if that many workers had
// died with it. It is for tests of workers.
func (c *Client) Suspect(ctx context.Context, queue string, crashes int) error {
	stream, suspects := c.keys.stream(queue), c.keys.suspects(queue)
	found, err := c.rdb.XRange(ctx, stream, "-", "+").Result()
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("queue %s has %d entries, not one", queue, len(found))
	}
	values := found[0].Values
	values["k"] = crashes
	if err := c.rdb.XGroupCreateMkStream(ctx, suspects, "w", "0").Err(); err != nil {
		return err
	}
	_, err = c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.XAdd(ctx, &redis.XAddArgs{Stream: suspects, Values: values})
		p.XDel(ctx, stream, found[0].ID)
		return nil
	})
	return err
}

// Sizes returns the item counts of the entries of a queue. Its cost is O(entries). It is for tests
// of workers.
func (c *Client) Sizes(ctx context.Context, queue string) (sizes []int, err error) {
	found, err := c.rdb.XRange(ctx, c.keys.stream(queue), "-", "+").Result()
	for _, e := range found {
		n, _ := e.Values["n"].(string)
		sizes = append(sizes, int(parseInt(n)))
	}
	return sizes, err
}

// A MemoryBound holds the settings maxmemory and maxmemory-policy of a server.
type MemoryBound struct{ Most, Policy string }

// MemoryBound reads the settings of the server.
func (c *Client) MemoryBound(ctx context.Context) (MemoryBound, error) {
	found, err := c.rdb.ConfigGet(ctx, "maxmemory*").Result()
	return MemoryBound{found["maxmemory"], found["maxmemory-policy"]}, err
}

// SetMemoryBound changes the settings of the server.
func (c *Client) SetMemoryBound(ctx context.Context, b MemoryBound) error {
	return errors.Join(c.rdb.ConfigSet(ctx, "maxmemory-policy", b.Policy).Err(), c.rdb.ConfigSet(ctx, "maxmemory", b.Most).Err())
}
