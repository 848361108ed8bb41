package broker

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// An End is a source that has ended, with the offset after its last item.
type End struct {
	Source Source
	At     int64
}

// FinishAgain stores the ends of sources again, in one round trip, since a failover may have lost
// them. It skips a source that is gone, since it was delivered, and one that is fenced, since it
// has a successor. It is safe to repeat.
func (c *Client) FinishAgain(ctx context.Context, ends []End) error {
	for len(ends) > 0 {
		stored, err := c.finishAll(ctx, ends)
		if err != nil {
			return err
		}
		check := make([]sourceField, len(stored))
		for i, e := range stored {
			check[i] = sourceField{e.Source.Name, "end", e.At}
		}
		kept, err := c.replicated(ctx, check...)
		if err != nil {
			return err
		}
		ends = nil
		for i, e := range stored {
			if !kept[i] { // a failover lost the write
				ends = append(ends, e)
			}
		}
	}
	return nil
}

// finishAll returns the sources whose end is stored. A foreign key in the place of one source does
// not affect the other sources.
func (c *Client) finishAll(ctx context.Context, ends []End) (stored []End, err error) {
	const what = "end sources again"
	err = c.try(ctx, what, func(ctx context.Context) error {
		stored = nil
		pipe := c.rdb.Pipeline()
		replies := make([]*redis.Cmd, len(ends))
		for i, e := range ends {
			keys, args := c.finishArgs(e)
			if i == 0 { // EVAL loads the script, so that EVALSHA finds it afterwards
				replies[i] = scripts.finish.Eval(ctx, pipe, keys, args...)
			} else {
				replies[i] = scripts.finish.EvalSha(ctx, pipe, keys, args...)
			}
		}
		_, _ = pipe.Exec(ctx) // each reply keeps its own error
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i, reply := range replies {
			status, err := reply.Text()
			if c.isTransient(err) {
				return err
			}
			if status == "ok" {
				stored = append(stored, ends[i])
			} else if err != nil {
				c.log.LogAttrs(ctx, slog.LevelWarn, "the end of a source was not stored again",
					slog.String("source", ends[i].Source.Name), slog.Any("err", c.withRemedy(err)))
			}
		}
		return nil
	})
	return stored, err
}
