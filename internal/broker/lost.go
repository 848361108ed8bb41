package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// A lostError says that a queue is gone with all data of its partition. It matches ErrLost and
// ErrQueueNotFound.
type lostError struct{ queue string }

// Error names the queue and says what to do.
func (e *lostError) Error() string {
	return fmt.Sprintf("queue %q: lost with its node: Redis has lost all data of its partition, as in a restart without persistence: "+
		"make the flow again and scatter the items without results", e.queue)
}

// Is makes it match ErrLost and ErrQueueNotFound.
func (*lostError) Is(target error) bool { return target == ErrLost || target == ErrQueueNotFound }

// Lost replaces an err that says that the queue q is gone, if Redis has lost all data of the partition
// since this process got q: then the partition has another birth, or none. It returns any other err as
// it is. It costs a round trip if q is gone, and nothing otherwise.
func (c *Client) Lost(ctx context.Context, q Queue, err error) error {
	if !errors.Is(err, ErrQueueNotFound) || errors.Is(err, ErrLost) || q.birth == "" {
		return err
	}
	var now string
	asked := c.try(ctx, "read the birth of the partition", func(ctx context.Context) (err error) {
		now, err = c.rdb.HGet(ctx, c.keys.watcher(), "birth").Result()
		return err
	})
	if asked != nil && !errors.Is(asked, redis.Nil) || now == q.birth {
		return err
	}
	return &lostError{q.Name}
}

// born returns q with the birth of its partition.
func (c *Client) born(q Queue) Queue {
	q.birth, _ = c.birth.Load().(string)
	return q
}
