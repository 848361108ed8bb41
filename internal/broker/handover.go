package broker

import "context"

// handoverPage entries are moved by one call of a script.
const handoverPage = 100

// requeueForeign requeues what gathers have read of queues and not delivered: a stage reads them now. How often
// items were given back is forgotten.
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

// CollectRequeued moves what workers have requeued of a queue to its end, where its gather finds it: a stage read the
// queue before. The cost is that of the entries.
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
