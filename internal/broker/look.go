package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Limits of Contents: queues in one call of its script, calls in one round trip, and entries that one
// call reads to count their items. A call takes Redis about a millisecond, if no entry is counted one by one.
const (
	lookQueues  = 25
	lookCalls   = 40
	lookEntries = 500
)

// Contents are the items of a queue by the place where they are. Each item of the queue is in one of
// the places.
type Contents struct {
	Queue    Queue
	Gatherer string    // executor of the gather that is its consumer, "" if a stage is or none
	Waiting  int64     // items that no consumer has read yet
	Requeued int64     // items that came back from a worker, and that none has read again
	Suspects int64     // items that two workers died with, and that none has read again
	Delayed  int64     // items that wait for another attempt
	Running  int64     // items that a consumer has read and not finished
	Entries  int64     // entries of Running
	Unread   int64     // bytes of Waiting
	AtLeast  bool      // too many entries to read all: each further one counts as one item
	Oldest   time.Time // when the oldest entry that no consumer has read was added, by the clock of Redis
	// Scattered is the earliest time at which one of the entries was scattered that are to be read next
	// from their streams, by the clock of Redis.
	Scattered time.Time
	Sources   int64  // that feed it directly
	Open      int64  // sources that have not ended, among the first hundred
	Broken    string // why the queue cannot be read: then only its name is known
}

// Left returns the items that are in the queue.
func (c Contents) Left() int64 { return c.Waiting + c.Requeued + c.Suspects + c.Delayed + c.Running }

// Contents reads queues in their order. It leaves out those that are gone. It takes one round trip
// for each thousand queues.
func (c *Client) Contents(ctx context.Context, names []string) (found []Contents, err error) {
	for page := range slices.Chunk(names, lookQueues*lookCalls) {
		some, err := c.contents(ctx, page)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

// contents reads as many queues as one round trip may have.
func (c *Client) contents(ctx context.Context, names []string) (found []Contents, err error) {
	var replies []*redis.Cmd
	err = c.try(ctx, "look at queues", func(ctx context.Context) error {
		replies, err = c.sendLook(ctx, names)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		l := asList(replies[i/lookQueues].Val()).list(i % lookQueues)
		switch l.text(0) {
		case "gone":
			continue
		case "broken":
			found = append(found, Contents{Queue: Queue{Name: name}, Broken: l.text(1)})
			continue
		}
		meta := l.list(1).fields()
		if err := checkVersion(name, meta["v"]); err != nil {
			return nil, err
		}
		one := Contents{
			Queue: queueOf(name, meta), Gatherer: meta["gatherer"], Waiting: l.number(2), Unread: l.number(3), Running: l.number(4), Requeued: l.number(5),
			Suspects: l.number(6), Delayed: l.number(7), Entries: l.number(8), AtLeast: l.number(9) == 1, Sources: l.number(12), Open: l.number(13),
		}
		one.Oldest, one.Scattered = timeOf(l.number(10)), timeOf(l.number(11))
		found = append(found, one)
	}
	return found, nil
}

// timeOf returns the time of so many ms; 0 is none.
func timeOf(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// sendLook sends the calls of contents. If the server does not know the script, a call with its text
// comes first: an observer may not load scripts.
func (c *Client) sendLook(ctx context.Context, names []string) (replies []*redis.Cmd, err error) {
	replies, err = c.pipeLook(ctx, names)
	if !hasCode(err, "NOSCRIPT") {
		return replies, err
	}
	if err = scripts.look.Eval(ctx, c.rdb, c.keys.ofLook(names[0]), lookEntries, c.keys.source("")).Err(); err != nil {
		return nil, err
	}
	return c.pipeLook(ctx, names)
}

func (c *Client) pipeLook(ctx context.Context, names []string) (replies []*redis.Cmd, err error) {
	_, err = c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for page := range slices.Chunk(names, lookQueues) {
			replies = append(replies, scripts.look.EvalSha(ctx, p, c.keys.ofLook(page...), lookEntries, c.keys.source("")))
		}
		return nil
	})
	return replies, err
}

// ofLook returns the keys of some queues that the script look reads.
func (k keys) ofLook(names ...string) (all []string) {
	for _, name := range names {
		all = append(all, k.meta(name), k.stream(name), k.returns(name), k.suspects(name), k.delayed(name), k.sources(name))
	}
	return all
}

// A Backlog counts the work in a queue.
type Backlog struct {
	Items, Bytes int64 // unread
	Running      int64 // entries that are read and not completed
	Delayed      int64 // entries that wait for a retry
	Entries      int64 // all entries; requeued and unread ones are in no other number
	Added        int64 // items added so far
}

// Waiting reads the backlog of a queue.
func (c *Client) Waiting(ctx context.Context, name string) (Backlog, error) {
	k := c.keys
	reply, err := c.run(ctx, "length of queue "+name, scripts.backlog,
		[]string{k.meta(name), k.delayed(name), k.stream(name), k.returns(name), k.suspects(name)})
	if err != nil {
		return Backlog{}, err
	}
	l := asList(reply)
	if l.text(0) != "ok" {
		return Backlog{}, fmt.Errorf("queue %q: %w", name, ErrQueueNotFound)
	}
	return Backlog{l.number(1), l.number(2), l.number(3), l.number(4), l.number(5), l.number(6)}, nil
}
