package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// replicaWait is how long replicas have to answer until they are asked again.
const replicaWait = time.Second

// replicated waits until so many replicas as the Options ask for have all that
// was written until now, and then compares a field of a source: a server that
// has taken over meanwhile may not have what the last one said it had stored.
// kept: it has that value, or nobody asked for replicas.
func (c *Client) replicated(ctx context.Context, source, field string, value int64) (kept bool, err error) {
	if c.replicas == 0 {
		return true, nil
	}
	err = c.try(ctx, "wait for replicas", func(ctx context.Context) error {
		node, err := c.node(ctx)
		if err != nil {
			return err
		}
		var acknowledged *redis.Cmd
		var found *redis.StringCmd
		_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Ping(ctx) // WAIT is about what was written before the last command of its connection
			acknowledged = p.Do(ctx, "WAIT", c.replicas, replicaWait.Milliseconds())
			found = p.HGet(ctx, c.keys.source(source), field)
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if n, _ := acknowledged.Int(); n < c.replicas {
			return fmt.Errorf("NOREPLICAS %d of %d replicas have it", n, c.replicas)
		}
		kept = found.Err() == nil && parseInt(found.Val()) == value
		return nil
	})
	return kept, err
}
