package broker

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxActs is about the number of acts that a partition keeps.
const maxActs = 1000

// An Act is an action of an operator, as it is noted.
type Act struct {
	At     time.Time // by the clock of Redis; set by Acts
	By     string
	Verb   string
	Object string // of the verb: a stage, a queue, an item, a worker or a dead letter
	Count  int64  // items that it was about, 0 if they are not counted
	Reason string
}

// Note adds an act to those of the partition.
func (c *Client) Note(ctx context.Context, a Act) error {
	return c.try(ctx, "note the act "+a.Verb+" "+a.Object, func(ctx context.Context) error {
		return c.rdb.XAdd(ctx, &redis.XAddArgs{
			Stream: c.keys.acts(), MaxLen: maxActs, Approx: true,
			Values: []any{"by", a.By, "verb", a.Verb, "object", a.Object, "count", a.Count, "reason", a.Reason},
		}).Err()
	})
}

// Acts returns the last acts of the partition, the latest first: at most count.
func (c *Client) Acts(ctx context.Context, count int64) (acts []Act, err error) {
	var entries []redis.XMessage
	err = c.try(ctx, "read the acts", func(ctx context.Context) error {
		entries, err = c.rdb.XRevRangeN(ctx, c.keys.acts(), "+", "-", count).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	for _, e := range entries {
		text := func(field string) string { s, _ := e.Values[field].(string); return s }
		acts = append(acts, Act{
			At: timeOfID(e.ID), By: text("by"), Verb: text("verb"), Object: text("object"), Count: parseInt(text("count")), Reason: text("reason"),
		})
	}
	return acts, err
}

// timeOfID returns the time at which an entry was added, by the clock of Redis.
func timeOfID(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	return time.UnixMilli(parseInt(ms))
}
