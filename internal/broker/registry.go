package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Role is the kind of a registered process.
type Role string

// The roles.
const (
	RoleWorker   Role = "worker"
	RoleExecutor Role = "executor"
)

// A Process is an entry of the registry.
type Process struct {
	ID   string
	Card map[string]string
}

// A FunctionCard describes a function of a worker.
type FunctionCard struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	InCodec  string `json:"incodec"`
	Out      string `json:"out"`
	OutCodec string `json:"outcodec"`
	Version  string `json:"version,omitempty"`
	Filter   bool   `json:"filter,omitempty"`  // it is a predicate
	FlatMap  bool   `json:"flatmap,omitempty"` // it yields any number of outputs for an input
}

// Join registers a process and creates its mailbox.
func (c *Client) Join(ctx context.Context, r Role, id string, card map[string]string) error {
	args := []any{id, string(r[0]) + ":" + id, len(c.partitions), rand.Text()}
	if c.index > 0 {
		args[2] = 0
	}
	for _, field := range slices.Sorted(maps.Keys(card)) {
		args = append(args, field, card[field])
	}
	began := time.Now()
	reply, err := c.run(ctx, "join the "+string(r)+"s", scripts.join,
		[]string{c.keys.registry(r), c.keys.card(r, id), c.keys.mailbox(id), c.keys.fenced(), c.keys.space(), c.keys.watcher()}, args...)
	if err != nil {
		return err
	}
	joined := asList(reply)
	if joined.number(0) == 0 {
		return fmt.Errorf("join the %ss: %w: another process has just set it: connect again", r, ErrPartitions)
	}
	c.clock.set(joined.number(0), began)
	c.birth.Store(joined.text(1))
	return nil
}

// Mailbox creates the mailbox of a gather again, if it is gone: it may have expired while the
// gather was stopped.
func (c *Client) Mailbox(ctx context.Context, id string) error {
	return c.try(ctx, "make a mailbox", func(ctx context.Context) error {
		there, err := c.rdb.Exists(ctx, c.keys.mailbox(id)).Result()
		if err != nil || there == 1 { // XGROUP is refused while the memory is full, even if it would change nothing
			return err
		}
		err = c.rdb.XGroupCreateMkStream(ctx, c.keys.mailbox(id), "w", "0").Err()
		if hasCode(err, "BUSYGROUP") {
			return nil
		}
		return err
	})
}

// Leave removes a process from its registry. If an executor leaves queues or sources behind, the
// watcher cleans them up as after its death.
func (c *Client) Leave(ctx context.Context, r Role, id string) error { return c.leave(ctx, r, id, 0) }

// LeaveName is Leave for a worker that holds no entries but whose name is still in streams. The
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

// Processes lists the live processes of a role: those that have joined, and have neither left nor
// been declared dead. The age of a heartbeat does not matter, since all heartbeats are old after an
// outage and on a server whose clock is ahead.
//
// If no process sends heartbeats, no watcher declares processes dead, and Processes returns none.
// To find that out, it waits for the next heartbeat if all are older than lease: 3 s at the default
// lease.
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
	if attended, err := c.isWatched(ctx, lease); err != nil || !attended {
		return nil, err
	}
	live := make([]Process, len(ids))
	for i, id := range ids {
		live[i] = Process{id, cards[i].Val()}
	}
	return live, nil
}

// isWatched reports whether any process sends heartbeats and thus declares dead processes.
func (c *Client) isWatched(ctx context.Context, lease time.Duration) (bool, error) {
	first, err := c.lastBeat(ctx)
	if err != nil {
		return false, err
	}
	var now time.Time
	err = c.try(ctx, "read the time", func(ctx context.Context) error {
		node, err := c.node(ctx) // the server whose clock the heartbeats have
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

// lastBeat returns the time in ms of the latest heartbeat of all processes.
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

// Hints waits for the hints of a mailbox after the one with the id after. It returns the id to
// continue with. Only the owner of the mailbox calls it.
func (r *Reader) Hints(ctx context.Context, after string) (hints []Hint, last string, err error) {
	r.c.identify(ctx, r.rdb, r.conns.liveness)
	streams, err := r.rdb.XRead(ctx, &redis.XReadArgs{
		Streams: []string{r.c.keys.mailbox(r.consumer), after}, Block: r.wait, Count: 1000,
	}).Result()
	r.observe(ctx, "wait for hints", err)
	if errors.Is(err, redis.Nil) {
		return nil, after, nil
	}
	if err != nil {
		return nil, after, fmt.Errorf("wait for hints: %w", r.c.withRemedy(err))
	}
	for _, m := range streams[0].Messages {
		kind, _ := m.Values["m"].(string)
		what, _ := m.Values["w"].(string)
		hints, after = append(hints, Hint{kind, what}), m.ID
	}
	return hints, after, nil
}
