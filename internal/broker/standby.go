package broker

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Standby registers an executor that waits for the right to gather a queue. Its mailbox gets
// HintFree when the current gather releases the queue or is dead, and when the queue is deleted.
// Repeat the call at least once in a third of silence; otherwise the registration expires.
//
// free reports that no gather has the queue now. The error is ErrConsumerExists if a stage reads
// it. It is safe to repeat.
func (c *Client) Standby(ctx context.Context, executor, queue string, silence time.Duration) (free bool, err error) {
	what := "wait for queue " + queue
	reply, err := c.run(ctx, what, scripts.standby, []string{c.keys.meta(queue), c.keys.registry(RoleExecutor), c.keys.standby(queue)},
		c.keys.mailbox(executor), queue, c.keys.prefix, silence.Milliseconds())
	if err != nil {
		return false, err
	}
	status, _ := reply.(string)
	if strings.HasPrefix(status, "stage:") {
		return false, fmt.Errorf("gather: %w", consumerExists(queue, status))
	}
	return status == "free", checkStatus(what, status)
}

// StandDown removes the registration of Standby.
func (c *Client) StandDown(ctx context.Context, executor, queue string) error {
	return c.try(ctx, "end the standby for queue "+queue, func(ctx context.Context) error {
		return c.rdb.ZRem(ctx, c.keys.standby(queue), c.keys.mailbox(executor)).Err()
	})
}
