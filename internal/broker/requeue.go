package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Limits of one call of reclaim.lua.
const (
	reclaimEntries = 500  // entries to requeue
	reclaimQueues  = 100  // queues to examine, about 0.4 ms of Redis
	reclaimNames   = 1000 // consumer names to remove: the more names, the fewer queues
	maxNames       = 200  // consumer names that Requeue accepts
)

// stagePage is about how many stages one read returns.
const stagePage = 300

// A reclaimScope selects the entries that reclaim.lua requeues.
type reclaimScope struct {
	worker  string   // "": all workers that are not in the registry
	crashes int      // added to the count of each entry
	names   []string // consumers to remove
}

// GiveBack requeues the entries of some queues that a worker holds, and removes its name from their
// groups: of all queues when it stops, and of those that it forgets.
func (c *Client) GiveBack(ctx context.Context, worker string, queues ...string) error {
	return c.reclaim(ctx, reclaimScope{worker: worker, names: []string{worker}}, queues)
}

// Requeue requeues the entries of workers that are not in the registry, in one pass over all
// stages. Each entry gets one more crash. It removes the consumer names, at most 200. The pass
// costs Redis about 4 us a stage. After each script call, Requeue pauses for the duration of that
// call, so it takes at most half of Redis.
func (c *Client) Requeue(ctx context.Context, names ...string) error {
	return c.eachStage(ctx, func(queues []string) error {
		return c.reclaim(ctx, reclaimScope{crashes: 1, names: names}, queues)
	})
}

// eachStage calls do with the in-queues of all stages, page by page.
func (c *Client) eachStage(ctx context.Context, do func(queues []string) error) error {
	return c.stagePages(ctx, func(page []StageQueue) error {
		queues := make([]string, len(page))
		for i, q := range page {
			queues[i] = q.Queue
		}
		return do(queues)
	})
}

// stagePages calls do with the in-queues of all stages and the ids of these, page by page.
func (c *Client) stagePages(ctx context.Context, do func(queues []StageQueue) error) error {
	for cursor := uint64(0); ; {
		var page []string
		err := c.try(ctx, "read a page of stages", func(ctx context.Context) (err error) {
			page, cursor, err = c.rdb.HScan(ctx, c.keys.stages(), cursor, "", stagePage).Result()
			return err
		})
		if err != nil {
			return err
		}
		var queues []StageQueue
		for i := 1; i < len(page); i += 2 {
			var s struct {
				Ins []Queue `json:"ins"`
			}
			if json.Unmarshal([]byte(page[i]), &s) != nil {
				continue
			}
			for _, in := range s.Ins {
				queues = append(queues, StageQueue{in.Name, page[i-1]})
			}
		}
		if err := do(queues); err != nil || cursor == 0 {
			return err
		}
	}
}

// reclaim requeues entries of some queues. It logs a stream that cannot be requeued and continues
// with the next one.
func (c *Client) reclaim(ctx context.Context, of reclaimScope, queues []string) error {
	k := c.keys
	for len(queues) > 0 {
		some := queues[:min(len(queues), reclaimQueues, max(1, reclaimNames/(1+len(of.names))))]
		keys := []string{k.registry(RoleWorker), k.fenced()}
		for _, q := range some {
			keys = append(keys, k.meta(q), k.stream(q), k.returns(q), k.suspects(q))
		}
		args := []any{of.worker, reclaimEntries, of.crashes, Suspicious}
		for _, name := range of.names {
			args = append(args, name)
		}
		began := time.Now()
		reply, err := c.run(ctx, "requeue the entries of workers", scripts.reclaim, keys, args...)
		if err != nil {
			return err
		}
		l := asList(reply)
		for i := 1; i+1 < len(l); i += 2 {
			if err := errors.New(l.text(i + 1)); isDenial(err) {
				return fmt.Errorf("requeue %s: %w", l.text(i), c.withRemedy(err))
			}
			c.log.LogAttrs(ctx, slog.LevelWarn, "requeue of a stream failed",
				slog.String("key", l.text(i)), slog.String("err", l.text(i+1)))
		}
		if at := l.number(0); at > 0 {
			queues = queues[at-1:]
		} else {
			queues = queues[len(some):]
		}
		if of.worker == "" {
			Pause(ctx, time.Since(began))
		}
	}
	return nil
}
