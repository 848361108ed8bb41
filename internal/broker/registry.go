package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Role is what a process takes part as.
type Role string

// The roles.
const (
	RoleWorker   Role = "worker"
	RoleExecutor Role = "executor"
)

// A Process is an entry of a registry.
type Process struct {
	ID   string
	Card map[string]string
}

// A FunctionCard describes a function that a worker has.
type FunctionCard struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	InCodec  string `json:"incodec"`
	Out      string `json:"out"`
	OutCodec string `json:"outcodec"`
	Version  string `json:"version,omitempty"`
}

// Join enters a process and makes its mailbox.
func (c *Client) Join(ctx context.Context, r Role, id string, card map[string]string) error {
	args := []any{id, string(r[0]) + ":" + id, len(c.parts)}
	if c.index > 0 {
		args[2] = 0
	}
	for _, field := range slices.Sorted(maps.Keys(card)) {
		args = append(args, field, card[field])
	}
	joined, err := c.run(ctx, "join the "+string(r)+"s", scripts.join,
		[]string{c.keys.registry(r), c.keys.card(r, id), c.keys.mailbox(id), c.keys.fenced(), c.keys.space()}, args...)
	if err == nil && joined == int64(0) {
		return fmt.Errorf("join the %ss: %w: somebody has just chosen it: connect again", r, ErrPartitions)
	}
	return err
}

// Mailbox makes the mailbox of a gather, if it is gone: a gather that was
// stopped for long may find that it was taken for dead.
func (c *Client) Mailbox(ctx context.Context, id string) error {
	return c.try(ctx, "make a mailbox", func(ctx context.Context) error {
		there, err := c.rdb.Exists(ctx, c.keys.mailbox(id)).Result()
		if err != nil || there == 1 { // to make what is there is refused where the memory is full
			return err
		}
		err = c.rdb.XGroupCreateMkStream(ctx, c.keys.mailbox(id), "w", "0").Err()
		if hasCode(err, "BUSYGROUP") {
			return nil
		}
		return err
	})
}

// Leave takes a process out. What an executor leaves behind, since it could not clean up, is
// cleaned up by another process as if it had died.
func (c *Client) Leave(ctx context.Context, r Role, id string) error { return c.leave(ctx, r, id, 0) }

// LeaveName takes out a worker that holds nothing, but whose name is still in streams. The
// watcher removes the name later.
func (c *Client) LeaveName(ctx context.Context, worker string) error {
	return c.leave(ctx, RoleWorker, worker, 1)
}

func (c *Client) leave(ctx context.Context, r Role, id string, names int) error {
	k := c.keys
	_, err := c.run(ctx, "leave the "+string(r)+"s", scripts.leave,
		[]string{k.registry(r), k.card(r, id), k.mailbox(id), k.watcher(), k.fenced(), k.holds(id), k.owned(id), k.awaited(id)},
		id, string(r[0])+":"+id, k.prefix, names)
	return err
}

// Processes lists the live processes of a role: those that have joined, and have neither
// left nor been declared dead. No age decides: after an outage, and on a server whose
// clock is ahead, all beats are old, and the processes live. Only if no process beats, who
// is dead is not found out, and Processes returns none. To see that takes a beat: if all
// beats are older than lease, Processes waits for the next one, 3 seconds at the default lease.
func (c *Client) Processes(ctx context.Context, r Role, lease time.Duration) ([]Process, error) {
	var ids []string
	var cards []*redis.MapStringStringCmd
	err := c.try(ctx, "list the "+string(r)+"s", func(ctx context.Context) (err error) {
		if ids, err = c.rdb.ZRange(ctx, c.keys.registry(r), 0, -1).Result(); err != nil || len(ids) == 0 {
			return err
		}
		cards = cards[:0]
		_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range ids {
				cards = append(cards, p.HGetAll(ctx, c.keys.card(r, id)))
			}
			return nil
		})
		return err
	})
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if attended, err := c.attended(ctx, lease); err != nil || !attended {
		return nil, err
	}
	live := make([]Process, len(ids))
	for i, id := range ids {
		live[i] = Process{id, cards[i].Val()}
	}
	return live, nil
}

// attended reports whether a process beats, and so finds those that do not.
func (c *Client) attended(ctx context.Context, lease time.Duration) (bool, error) {
	first, err := c.lastBeat(ctx)
	if err != nil {
		return false, err
	}
	var now time.Time
	err = c.try(ctx, "read the time", func(ctx context.Context) error {
		node, err := c.node(ctx) // the one whose clock the beats were taken from
		if err == nil {
			now, err = node.Time(ctx).Result()
		}
		return err
	})
	if err != nil || now.Sub(time.UnixMilli(int64(first))) < lease {
		return err == nil, err
	}
	limit, cancel := context.WithTimeout(ctx, overdue(lease))
	defer cancel()
	tick := time.NewTicker(lease / Beats / 4)
	defer tick.Stop()
	for {
		select {
		case <-limit.Done():
			return false, context.Cause(ctx)
		case <-tick.C:
		}
		if last, err := c.lastBeat(ctx); err != nil || last != first {
			return err == nil, err
		}
	}
}

// lastBeat returns the score of the latest heartbeat of all processes.
func (c *Client) lastBeat(ctx context.Context) (last float64, err error) {
	var newest []*redis.ZSliceCmd
	err = c.try(ctx, "read the last heartbeat", func(ctx context.Context) error {
		newest = newest[:0]
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, r := range []Role{RoleWorker, RoleExecutor} {
				newest = append(newest, p.ZRangeWithScores(ctx, c.keys.registry(r), -1, -1))
			}
			return nil
		})
		return err
	})
	for _, one := range newest {
		for _, z := range one.Val() {
			last = max(last, z.Score)
		}
	}
	return last, err
}

// Hints waits for hints of a mailbox behind the one of id after, and returns
// the id to go on with. Only the mailbox's owner calls it.
func (r *Reader) Hints(ctx context.Context, after string) (hints []Hint, last string, err error) {
	r.identify(ctx)
	streams, err := r.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.c.keys.mailbox(r.consumer), after}, Block: r.wait, Count: 1000,
	}).Result()
	r.c.saw(ctx, "wait for hints", err)
	if errors.Is(err, redis.Nil) {
		return nil, after, nil
	}
	if err != nil {
		return nil, after, fmt.Errorf("wait for hints: %w", r.c.explained(err))
	}
	for _, m := range streams[0].Messages {
		kind, _ := m.Values["m"].(string)
		what, _ := m.Values["w"].(string)
		hints, after = append(hints, Hint{kind, what}), m.ID
	}
	return hints, after, nil
}
