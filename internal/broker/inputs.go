package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Kept is a batch of a source as it was scattered.
type Kept struct {
	batch.Batch
	Format string // type and codec of the items, see KeepInputs
}

// Input reads the kept batch of a source that contains the item at offset, or the first kept batch
// after it. Without such a batch, the result has no items.
func (c *Client) Input(ctx context.Context, source string, offset int64) (Kept, error) {
	what := fmt.Sprintf("read input %d of source %s", offset, source)
	var keep *redis.StringCmd
	var found *redis.XMessageSliceCmd
	err := c.try(ctx, what, func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			keep = p.HGet(ctx, c.keys.source(source), "keep")
			found = p.XRangeN(ctx, c.keys.inputs(source), strconv.FormatInt(offset+1, 10)+"-0", "+", 1)
			return nil
		})
		if errors.Is(err, redis.Nil) { // the source keeps no inputs
			return nil
		}
		return err
	})
	if err != nil || len(found.Val()) == 0 {
		return Kept{}, err
	}
	entry := found.Val()[0]
	id, _, _ := strings.Cut(entry.ID, "-")
	n, _ := entry.Values["n"].(string)
	frame, _ := entry.Values["p"].(string)
	kept := Kept{Batch: batch.Batch{Source: source, First: parseInt(id) - parseInt(n), N: int(parseInt(n)), Frame: []byte(frame)}}
	if err := kept.Check(); err != nil {
		return Kept{}, fmt.Errorf("%s: entry %s: %w", what, entry.ID, err)
	}
	kept.Format = keep.Val()
	return kept, nil
}
