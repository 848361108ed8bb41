package broker

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

// An End is a source that has ended, and the offset behind its last item.
type End struct {
	Source Source
	At     int64
}

// FinishAgain stores the ends of sources again, in one round trip: a failover may have lost
// them. A source that is gone was delivered, and one that is fenced has a successor. It is
// safe to repeat.
func (c *Client) FinishAgain(ctx context.Context, ends []End) error {
	for len(ends) > 0 {
		stored, err := c.finishAll(ctx, ends)
		if err != nil {
			return err
		}
		check := make([]written, len(stored))
		for i, e := range stored {
			check[i] = written{e.Source.Name, "end", e.At}
		}
		kept, err := c.replicated(ctx, check...)
		if err != nil {
			return err
		}
		ends = nil
		for i, e := range stored {
			if !kept[i] { // another server has taken over
				ends = append(ends, e)
			}
		}
	}
	return nil
}

// finishAll returns those whose end is stored. A stranger's key in the place of one source
// stops no other one.
func (c *Client) finishAll(ctx context.Context, ends []End) (stored []End, err error) {
	const what = "end sources again"
	err = c.try(ctx, what, func(ctx context.Context) error {
		stored = nil
		pipe := c.rdb.Pipeline()
		replies := make([]*redis.Cmd, len(ends))
		for i, e := range ends {
			keys, args := c.ending(e)
			if i == 0 { // with its text, so that Redis knows it by its hash afterwards
				replies[i] = scripts.finish.Eval(ctx, pipe, keys, args...)
			} else {
				replies[i] = scripts.finish.EvalSha(ctx, pipe, keys, args...)
			}
		}
		_, _ = pipe.Exec(ctx) // each reply has its error
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i, reply := range replies {
			status, err := reply.Text()
			if c.passes(err) {
				return err
			}
			if status == "ok" {
				stored = append(stored, ends[i])
			} else if err != nil {
				c.log.LogAttrs(ctx, slog.LevelWarn, "the end of a source cannot be stored again",
					slog.String("source", ends[i].Source.Name), slog.Any("err", c.explained(err)))
			}
		}
		return nil
	})
	return stored, err
}
