package broker

import "context"

// handoverPage is the number of entries that one script call moves.
const handoverPage = 100

// requeueForeign requeues the pending entries of earlier gathers, for the stage that reads the
// queues now. It deletes the delivery counts of their items.
func (c *Client) requeueForeign(ctx context.Context, queues []Queue) error {
	for _, q := range queues {
		for after := "-"; after != ""; {
			reply, err := c.run(ctx, "take over queue "+q.Name+" from a gather", scripts.requeueForeign,
				[]string{c.keys.stream(q.Name), c.keys.returns(q.Name), c.keys.registry(RoleWorker)}, after, handoverPage)
			if err != nil {
				return err
			}
			if after = (list{reply}).text(0); after != "" {
				after = "(" + after
			}
		}
		err := c.try(ctx, "forget the deliveries of queue "+q.Name, func(ctx context.Context) error {
			return c.rdb.Unlink(ctx, c.keys.nacked(q.Name)).Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// CollectRequeued moves the requeued entries of a queue to its end, since its gather reads no other
// stream. They are left from a stage that read the queue before. Its cost is O(entries).
func (c *Client) CollectRequeued(ctx context.Context, g Gather) error {
	q := g.Queue.Name
	for _, from := range []string{c.keys.returns(q), c.keys.suspects(q)} {
		for n := int64(handoverPage); n == handoverPage; {
			reply, err := c.run(ctx, "take over queue "+q+" from a stage", scripts.collectRequeued,
				[]string{c.keys.meta(q), c.keys.stream(q), from}, g.reader(), handoverPage)
			if err != nil {
				return err
			}
			n = list{reply}.number(0)
		}
	}
	return nil
}
