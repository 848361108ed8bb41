package broker

import "context"

// dueChunk is the number of entries that one script call requeues.
const dueChunk = 100

// RequeueDue requeues the delayed entries that are due. It is safe to repeat and to call
// concurrently.
func (c *Client) RequeueDue(ctx context.Context) error {
	for {
		more, err := c.run(ctx, "requeue due retries", scripts.requeueDue, []string{c.keys.due()}, c.keys.prefix, dueChunk)
		if err != nil || more == int64(0) {
			return err
		}
	}
}
