package broker

import (
	"context"
	"log/slog"
)

// expirePage is the number of sources that one script call looks at.
const expirePage = 500

// deleteExpired looks at queues that expire, and deletes the flows that have been out of use for their
// time. A deletion that was interrupted is due again in the next check.
func (l *Lease) deleteExpired(ctx context.Context, due list) {
	if len(due) == 0 {
		return
	}
	l.expiries.begin(ctx, func(ctx context.Context) {
		for i := range due {
			gone, err := l.c.expire(ctx, due.text(i))
			if err == nil && len(gone) > 0 {
				l.c.log.LogAttrs(ctx, slog.LevelInfo, "queue expired: no process has used its flow for the time that Expire gave it",
					slog.String("queue", due.text(i)), slog.Any("deleted", gone))
				err = l.c.DeleteAll(ctx, gone)
			}
			l.log(ctx, "the expiry of a queue failed; it is tried again", err)
		}
	})
}

// expire looks whether the flow of a queue is in use. If it has been out of use for its time, expire marks
// its queues as dying and returns them, upstream first. It costs a call for each 500 sources.
func (c *Client) expire(ctx context.Context, queue string) (gone []string, err error) {
	k, after := c.keys, "0"
	for {
		reply, err := c.run(ctx, "expire queue "+queue, scripts.expire,
			[]string{k.expiring(), k.registry(RoleExecutor), k.registry(RoleWorker), k.stages()}, k.prefix, queue, after, expirePage)
		if err != nil {
			return nil, err
		}
		l := asList(reply)
		switch l.text(0) {
		case "more":
			after = l.text(1)
			continue
		case "expired":
			for i := range l[1:] {
				gone = append(gone, l.text(i+1))
			}
		}
		return gone, nil
	}
}
