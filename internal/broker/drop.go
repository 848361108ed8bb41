package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// ErrFutures says that a queue holds futures, whose results are keys.
var ErrFutures = errors.New("the queue holds futures: cancel them in the program that waits for them")

// dropPage is the number of entries that one script call drops.
const dropPage = 100

// DropWaiting puts a failure into the place of each item that waits in a queue, as the result of the
// stage that reads the queue. Items that a consumer has read are not affected. progress gets the number
// of items so far after each page. It returns that number. It is safe to repeat.
func (c *Client) DropWaiting(ctx context.Context, name, why string, progress func(items int64)) (items int64, err error) {
	q, err := c.Look(ctx, name)
	if err != nil {
		return 0, err
	}
	s, found, err := c.StageOf(ctx, name)
	if err != nil {
		return 0, err
	}
	if s.Kind == KindFuture {
		return 0, fmt.Errorf("queue %q: %w", name, ErrFutures)
	}
	outs := s.Outs
	if !found {
		outs = []Out{{Queue: q}}
	}
	k := c.keys
	failure := batch.Failure{Code: batch.CodeDropped, Message: why, Stage: s.ID, Function: s.Function}
	keys := []string{k.meta(name), k.stream(name), k.returns(name), k.suspects(name), k.delayed(name), k.due(), k.wait(name)}
	args := []any{name, q.Inc, dropPage, "", failure.Append(nil), k.prefix + "f:"}
	for _, out := range outs {
		keys, args = append(keys, k.stream(out.Name), k.meta(out.Name)), append(args, out.Inc, out.Branch)
	}
	for {
		reply, err := c.run(ctx, "drop the items of queue "+name, scripts.dropWaiting, keys, args...)
		if err != nil {
			return items, err
		}
		l := asList(reply)
		switch {
		case l.text(0) == "gone":
			return items, fmt.Errorf("queue %q, or one behind it: %w", name, ErrQueueNotFound)
		case l.number(1) == 0:
			return items, nil
		}
		items += l.number(2)
		args[3] = l.text(3)
		if progress != nil {
			progress(items)
		}
	}
}
