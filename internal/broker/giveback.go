package broker

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// What a round trip puts back at most. A fleet may have thousands of stages, and a worker
// entries of a few of them.
const (
	reclaimChunk   = 100 // entries of each stream
	reclaimStreams = 300
)

// GiveBack puts back what a worker holds of all queues; crashes is added to
// the count of each entry. One that is suspicious then is put where it is run
// alone.
func (c *Client) GiveBack(ctx context.Context, worker string, crashes int) error {
	stages, err := c.Stages(ctx)
	if err != nil {
		return err
	}
	var open []Place
	for _, s := range stages {
		for _, in := range s.Ins {
			open = append(open, Place{in.Name, Fresh}, Place{in.Name, Returned}, Place{in.Name, Suspect})
		}
	}
	for len(open) > 0 {
		n := min(len(open), reclaimStreams)
		more, err := c.reclaim(ctx, open[:n], worker, crashes)
		if err != nil {
			return err
		}
		open = append(open[n:], more...)
	}
	return nil
}

// reclaim puts back a chunk of each stream. It returns those that may have more.
func (c *Client) reclaim(ctx context.Context, from []Place, worker string, crashes int) (more []Place, err error) {
	err = c.try(ctx, "give back what worker "+worker+" holds", func(ctx context.Context) error {
		more = nil
		pipe := c.rdb.Pipeline()
		replies := make([]*redis.Cmd, len(from))
		for i, at := range from {
			replies[i] = scripts.reclaim.EvalSha(ctx, pipe, c.reclaimKeys(at), worker, reclaimChunk, crashes, Suspicious)
		}
		_, _ = pipe.Exec(ctx) // each reply has its error
		unknown := false
		for i, reply := range replies {
			n, err := reply.Int64()
			switch {
			case hasCode(err, "NOSCRIPT"):
				unknown, more = true, append(more, from[i])
			case err != nil:
				return err
			case n == reclaimChunk:
				more = append(more, from[i])
			}
		}
		if unknown { // from now on it is known
			return scripts.reclaim.Eval(ctx, c.rdb, c.reclaimKeys(more[0]), worker, reclaimChunk, crashes, Suspicious).Err()
		}
		return nil
	})
	return more, err
}

func (c *Client) reclaimKeys(at Place) []string {
	return []string{c.keys.place(at), c.keys.returns(at.Queue), c.keys.suspects(at.Queue)}
}
