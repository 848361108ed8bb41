package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// replicaWait is the timeout of one WAIT command.
const replicaWait = time.Second

// A sourceField is the value that a script has sourceField to a field of a source.
type sourceField struct {
	source, field string
	value         int64
}

// replicated waits until the configured number of replicas has received all writes so far. Then it
// compares fields of sources with the values written: a server promoted meanwhile may lack them.
// kept reports for each field whether it has its value. Without replicas, all are kept.
func (c *Client) replicated(ctx context.Context, all ...sourceField) (kept []bool, err error) {
	kept = make([]bool, len(all))
	if c.replicas == 0 || len(all) == 0 {
		for i := range kept {
			kept[i] = true
		}
		return kept, nil
	}
	err = c.try(ctx, "wait for replicas", func(ctx context.Context) error {
		node, err := c.node(ctx)
		if err != nil {
			return err
		}
		var acknowledged *redis.Cmd
		found := make([]*redis.StringCmd, len(all))
		_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.Ping(ctx) // WAIT counts the writes before the last command of its own connection
			acknowledged = p.Do(ctx, "WAIT", c.replicas, replicaWait.Milliseconds())
			for i, w := range all {
				found[i] = p.HGet(ctx, c.keys.source(w.source), w.field)
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if n, _ := acknowledged.Int(); n < c.replicas {
			return fmt.Errorf("NOREPLICAS %d of %d replicas have it", n, c.replicas)
		}
		for i, w := range all {
			kept[i] = found[i].Err() == nil && parseInt(found[i].Val()) == w.value
		}
		return nil
	})
	return kept, err
}
