package broker

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// Fetch reads the frames of entries that have a payload key, into memory, which may be nil. If the
// key is gone, the entry becomes a lost batch.
func (c *Client) Fetch(ctx context.Context, memory *batch.Memory, entries []Entry) error {
	var gets []*get
	for i := range entries {
		if e := &entries[i]; e.Payload != "" && e.Frame == nil {
			gets = append(gets, &get{entry: e, key: c.keys.payload(e.Payload), memory: memory})
		}
	}
	if gets == nil {
		return nil
	}
	return c.try(ctx, "read payloads", func(ctx context.Context) error {
		for len(gets) > 0 {
			pipe := c.rdb.Pipeline()
			for _, g := range gets {
				_ = pipe.Process(ctx, g.command(ctx)) // queued in the pipeline
			}
			_, _ = pipe.Exec(ctx) // each command keeps its own error
			var again []*get
			for _, g := range gets {
				if err := g.done(); exceedsSize(err) {
					g.entry.Size, again = 0, append(again, g)
				} else if err != nil {
					return err
				}
			}
			gets = again
		}
		return nil
	})
}

// A get is the GET of one payload.
type get struct {
	entry  *Entry
	key    string
	memory *batch.Memory
	sized  *redis.ZeroCopyStringCmd // if the size is known
	plain  *redis.StringCmd         // otherwise
}

// maxSized is the largest announced size for which memory is reserved before the reply. Only a
// batch of one large item is larger.
const maxSized = 2 << 20

func (g *get) command(ctx context.Context) redis.Cmder {
	if size := g.entry.Size; size > 0 && size <= maxSized {
		g.sized, g.plain = redis.NewZeroCopyStringCmd(ctx, g.memory.Get(size+len("\r\n")), "get", g.key), nil
		return g.sized
	}
	g.sized, g.plain = nil, redis.NewStringCmd(ctx, "get", g.key)
	return g.plain
}

// exceedsSize reports whether the frame of this entry, or of one before it in the pipeline, has
// more bytes than announced: the entry was written by another program. The pipeline stops at that
// reply.
func exceedsSize(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "redis: buffer too small")
}

// done stores the reply in the entry.
func (g *get) done() error {
	var frame []byte
	var err error
	if g.sized != nil {
		frame, err = g.sized.Bytes(), g.sized.Err()
	} else {
		frame, err = frameOf(g.plain.Val()), g.plain.Err()
	}
	if errors.Is(err, redis.Nil) || hasCode(err, "WRONGTYPE") {
		g.entry.Lost = &batch.Failure{Code: batch.CodeLost, Message: "its payload is no longer in Redis", Stage: g.entry.Queue}
		return nil
	}
	if err == nil {
		g.entry.Frame, g.entry.Size = frame, len(frame)
	}
	return err
}
