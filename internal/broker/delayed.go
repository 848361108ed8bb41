package broker

import "context"

// dueChunk entries are brought back by one script call.
const dueChunk = 100

// BringBack puts what was delayed and is due where it is read. It is safe to
// repeat, and for several to call at once.
func (c *Client) BringBack(ctx context.Context) error {
	for {
		more, err := c.run(ctx, "bring back retries", scripts.requeueDue, []string{c.keys.due()}, c.keys.prefix, dueChunk)
		if err != nil || more == int64(0) {
			return err
		}
	}
}
