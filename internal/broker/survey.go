package broker

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Survey is the contents of a partition without the items of its queues.
type Survey struct {
	Now       time.Time // by the clock of Redis
	Queues    []string  // names, sorted
	Stages    []Stage   // in the order in which they were made
	Workers   []Member
	Executors []Member
	Dead      []Process     // that were declared dead and are not cleaned up yet: of their cards, host and pid
	Letters   int64         // number of dead letters
	Deaths    int64         // number of workers that were declared dead since the first process joined
	AtQueues  int           // number of workers that wait at the queues of all their stages, and not for rings
	Overdue   time.Duration // how long the first delayed entry is overdue; 0: none is
	// Ahead is by how much the clock of this process is at least ahead of that of Redis, negative if
	// it is behind.
	Ahead time.Duration
}

// A Member is a registered process with its last heartbeat, by the clock of Redis.
type Member struct {
	Process
	Beat    time.Time
	Mailbox int64 // number of hints in its mailbox; 0 if the Redis user may not read that
	card    *redis.MapStringStringCmd
	mailbox *redis.IntCmd
}

// Survey reads the registries of the partition, in two round trips. Unlike Processes it does not
// wait: a process without heartbeats stays among the members until it is declared dead.
func (c *Client) Survey(ctx context.Context) (s Survey, err error) {
	err = c.try(ctx, "survey the namespace", func(ctx context.Context) error {
		s, err = c.survey(ctx)
		return err
	})
	return s, err
}

func (c *Client) survey(ctx context.Context) (Survey, error) {
	node, err := c.node(ctx) // the server whose clock the heartbeats have
	if err != nil {
		return Survey{}, err
	}
	var now *redis.TimeCmd
	var queues *redis.StringSliceCmd
	var records, fenced *redis.MapStringStringCmd
	var workers, executors, due *redis.ZSliceCmd
	var letters *redis.IntCmd
	var deaths, ringed *redis.SliceCmd
	began := time.Now()
	_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
		now, queues, records = p.Time(ctx), p.SMembers(ctx, c.keys.queues()), p.HGetAll(ctx, c.keys.stages())
		workers = p.ZRangeWithScores(ctx, c.keys.registry(RoleWorker), 0, -1)
		executors = p.ZRangeWithScores(ctx, c.keys.registry(RoleExecutor), 0, -1)
		due = p.ZRangeWithScores(ctx, c.keys.due(), 0, 0)
		deaths, ringed = p.HMGet(ctx, c.keys.watcher(), "deaths"), p.HMGet(ctx, c.keys.classes(), "n")
		letters, fenced = p.XLen(ctx, c.keys.dead()), p.HGetAll(ctx, c.keys.fenced())
		return nil
	})
	if err != nil {
		return Survey{}, err
	}
	s := Survey{Now: now.Val(), Queues: queues.Val(), Letters: letters.Val(), Dead: deadOf(fenced.Val())}
	s.Deaths, s.AtQueues = onlyNumber(deaths), max(0, len(workers.Val())-int(onlyNumber(ringed)))
	s.Ahead = ahead(began, time.Now(), s.Now)
	if first := due.Val(); len(first) == 1 {
		s.Overdue = max(0, s.Now.Sub(time.UnixMilli(int64(first[0].Score))))
	}
	slices.Sort(s.Queues)
	c.readings.retain(records.Val())
	s.Stages = c.read(ctx, records.Val())
	_, _ = node.Pipelined(ctx, func(p redis.Pipeliner) error { // each command keeps its own error
		s.Workers = c.cards(ctx, p, RoleWorker, workers.Val())
		s.Executors = c.cards(ctx, p, RoleExecutor, executors.Val())
		return nil
	})
	for _, members := range [][]Member{s.Workers, s.Executors} {
		for i := range members {
			m := &members[i]
			if err := m.card.Err(); err != nil {
				return Survey{}, err
			}
			m.Card, m.Mailbox = m.card.Val(), m.mailbox.Val()
		}
	}
	return s, nil
}

// onlyNumber returns the value of the only field that a command reads, 0 if it is not there.
func onlyNumber(read *redis.SliceCmd) int64 {
	text, _ := read.Val()[0].(string)
	return parseInt(text)
}

// ahead returns by how much the clock of this process is at least ahead of another one, which was read
// between two times.
func ahead(from, to, other time.Time) time.Duration {
	switch {
	case other.Before(from):
		return from.Sub(other)
	case other.After(to):
		return to.Sub(other)
	}
	return 0
}

// Worker reads the card of a worker. live is false if it is not registered.
func (c *Client) Worker(ctx context.Context, id string) (w Process, live bool, err error) {
	err = c.try(ctx, "read worker "+id, func(ctx context.Context) error {
		w.ID = id
		w.Card, err = c.rdb.HGetAll(ctx, c.keys.card(RoleWorker, id)).Result()
		return err
	})
	return w, len(w.Card) > 0, err
}

// Draining reports whether a worker takes no more items, as an operator wants.
func (p Process) Draining() bool { return p.Card["draining"] != "" }

// cards asks for the cards and mailboxes of registered processes.
func (c *Client) cards(ctx context.Context, p redis.Pipeliner, r Role, registered []redis.Z) []Member {
	members := make([]Member, len(registered))
	for i, z := range registered {
		id, _ := z.Member.(string)
		members[i] = Member{Process: Process{ID: id}, Beat: time.UnixMilli(int64(z.Score)), card: p.HGetAll(ctx, c.keys.card(r, id)), mailbox: p.XLen(ctx, c.keys.mailbox(id))}
	}
	return members
}

// deadOf returns the processes that others clean up after.
func deadOf(fenced map[string]string) (dead []Process) {
	for mark, entry := range fenced {
		d := parseDead(mark, entry)
		dead = append(dead, Process{d.id, map[string]string{"pid": d.pid, "host": d.host}})
	}
	return dead
}
