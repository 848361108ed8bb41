package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Gather is the right to read a queue to its end.
type Gather struct {
	ID    string // name of the consumer and of the mailbox
	Queue Queue
	Epoch int64
	acks  *atomic.Int64 // number of the last acknowledgement

	delivered map[string]string // by source, as of Consume
	nacked    map[Item]int64    // as of Consume
	pending   int64             // entries of the queue that others hold, as of Consume
}

// Consume makes a gather the consumer of a queue and creates its mailbox. It takes over from a
// gather whose executor is not in the registry, because that was declared dead or has left.
// Otherwise it returns ErrConsumerExists. It compares no clocks: an outage, or a failover to a
// server whose clock is ahead, ends no gather.
func (c *Client) Consume(ctx context.Context, id, executor, queue string) (Gather, error) {
	what := "gather queue " + queue
	reply, err := c.run(ctx, what, scripts.consume,
		[]string{c.keys.meta(queue), c.keys.mailbox(id), c.keys.registry(RoleExecutor), c.keys.marks(queue), c.keys.nacked(queue), c.keys.stream(queue), c.keys.returns(queue), c.keys.suspects(queue)},
		id, executor)
	if err != nil {
		return Gather{}, err
	}
	l := asList(reply)
	switch l.text(0) {
	case "version":
		return Gather{}, fmt.Errorf("gather: %w", checkVersion(queue, l.text(1)))
	case "taken":
		return Gather{}, fmt.Errorf("gather: %w", c.gatheredBy(ctx, queue, l.text(1), l.text(2)))
	case "gone":
		return Gather{}, fmt.Errorf("%s: %w", what, ErrQueueNotFound)
	}
	g := Gather{ID: id, Queue: c.born(queueOf(queue, l.list(2).fields())), Epoch: l.number(1), acks: new(atomic.Int64), pending: l.number(6)}
	if g.delivered = l.list(3).fields(); l.list(3) == nil {
		g.delivered, err = c.scan(ctx, "read the marks of queue "+queue, c.keys.marks(queue))
	}
	if err == nil && l.number(5) > 0 {
		g.nacked, err = c.readNacked(ctx, queue)
	}
	if err == nil && l.number(4) > 0 {
		err = c.CollectRequeued(ctx, g)
	}
	return g, err
}

// gatheredBy returns the error for a queue that another gather reads. It names the process of that
// gather, if its card can be read.
func (c *Client) gatheredBy(ctx context.Context, queue, consumer, executor string) error {
	if executor == "" {
		return consumerExists(queue, consumer)
	}
	var card *redis.SliceCmd
	var now *redis.TimeCmd
	if err := c.try(ctx, "read the process of the gather", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			card = p.HMGet(ctx, c.keys.card(RoleExecutor, executor), "host", "pid", "seen")
			now = p.Time(ctx)
			return nil
		})
		return err
	}); err != nil {
		return consumerExists(queue, consumer)
	}
	l := list(card.Val())
	beat := now.Val().Sub(time.UnixMilli(l.number(2))).Round(100 * time.Millisecond)
	return fmt.Errorf("queue %q: %w, %s of process %s on host %s, whose last heartbeat was %v ago: "+
		"bridge.Wait takes the queue over when that gather ends, or when its process has not beaten for a lease; "+
		"executor.Multiplex makes equal queues of it, one for each consumer",
		queue, ErrConsumerExists, consumer, l.text(1), l.text(0), max(0, beat))
}

// scan reads a hash in pages.
func (c *Client) scan(ctx context.Context, what, key string) (map[string]string, error) {
	fields := map[string]string{}
	for cursor := uint64(0); ; {
		var page []string
		err := c.try(ctx, what, func(ctx context.Context) (err error) {
			page, cursor, err = c.rdb.HScan(ctx, key, cursor, "", 1000).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(page); i += 2 {
			fields[page[i]] = page[i+1]
		}
		if cursor == 0 {
			return fields, nil
		}
	}
}

// reader identifies a gather to the scripts. It contains the incarnation of the queue, since the
// epochs of a new queue of the same name start again.
func (g Gather) reader() string { return fmt.Sprint(g.Queue.Inc, " ", g.Epoch) }

// Delivered returns the mark and the delivered ranges above it for each source, as Ack wrote them.
func (g Gather) Delivered() map[string]string { return g.delivered }

// Inherit moves the pending entries of earlier gathers to this one and returns them. Then it
// releases the gather that this one replaced, since no other process would remove that one's name.
func (c *Client) Inherit(ctx context.Context, g Gather) ([]Entry, error) {
	if g.pending == 0 && g.Queue.before == "" {
		return nil, nil
	}
	var entries []Entry
	start := "0-0"
	for {
		var reply any
		what := "inherit queue " + g.Queue.Name
		err := c.try(ctx, what, func(ctx context.Context) (err error) {
			reply, err = c.rdb.Do(ctx, "XAUTOCLAIM", c.keys.stream(g.Queue.Name), "w", g.ID, 0, start, "COUNT", 100).Result()
			return err
		})
		if hasCode(err, "NOGROUP") {
			return nil, c.Lost(ctx, g.Queue, fmt.Errorf("%s: %w", what, ErrQueueNotFound))
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entriesOf(StreamRef{Queue: g.Queue.Name}, asList(reply).list(1)) {
			// A page of Redis before 6.2.2 begins with the last entry of the page before.
			if e.N > 0 && (len(entries) == 0 || entries[len(entries)-1].ID != e.ID) {
				entries = append(entries, e)
			}
		}
		if start = asList(reply).text(0); start == "0-0" || start == "" {
			break
		}
	}
	if before := g.Queue.before; before != "" {
		return entries, c.Release(ctx, Gather{ID: before, Queue: g.Queue})
	}
	return entries, nil
}

// Roots returns the paths on which items reach the gathered queue.
func (g Gather) Roots() []Path { return g.Queue.paths() }

// A Mark says how far a source is delivered in a queue.
type Mark struct {
	Source    string // its name in the queue, see Root
	Delivered string // the mark and the delivered ranges above it
	Low       int64  // offset below which all items are delivered
	Settled   []Item // items whose delivery counts are deleted, see Nack
	Retire    bool   // it has ended and is delivered here; it is deleted once that holds in all leaves of its root
	Drop      bool   // it is a child that is delivered whole: the mark of its parent has that
}

// state returns the field ended of ack.lua.
func (m Mark) state() int {
	switch {
	case m.Drop:
		return 3
	case IsChild(m.Source):
		return 2
	case m.Retire:
		return 1
	}
	return 0
}

// Ack deletes fully delivered entries from the queue and moves the marks of their sources. Their
// payloads are deleted, or kept for keep if that is not 0. rootOf returns the root queue of a
// source. An Ack that arrives after a later one has no effect. waited reports whether a producer or
// a worker waited for it.
func (c *Client) Ack(ctx context.Context, g Gather, entries []Entry, marks []Mark, keep time.Duration, rootOf func(source string) string) (waited bool, err error) {
	k, q := c.keys, g.Queue.Name
	keys := []string{k.meta(q), k.stream(q), k.wait(q), k.marks(q)}
	args := []any{g.reader(), g.acks.Add(1), q, k.prefix, keep.Milliseconds(), len(entries), len(marks)}
	for _, e := range entries {
		args = append(args, e.ID)
	}
	for _, m := range marks {
		name, _ := Root(m.Source)
		root := rootOf(m.Source)
		keys = append(keys, k.source(name), k.meta(root))
		args = append(args, m.Source, name, root, m.Delivered, m.Low, m.state())
	}
	for _, m := range marks {
		for _, item := range m.Settled {
			args = append(args, item.field())
		}
	}
	for _, e := range entries {
		if e.Payload != "" {
			keys = append(keys, k.payload(e.Payload))
		}
	}
	what := "acknowledge items of queue " + q
	reply, err := c.run(ctx, what, scripts.ack, keys, args...)
	if err != nil {
		return false, err
	}
	status, _ := reply.(string)
	if status == "waited" {
		return true, nil
	}
	return false, c.Lost(ctx, g.Queue, checkStatus(what, status))
}

// Release gives up the queue, if the gather is its consumer. Without a call of Watch before, it
// needs only the gather's ID and the name of the queue. It is safe to repeat.
func (c *Client) Release(ctx context.Context, g Gather) error {
	q := g.Queue.Name
	keys := []string{c.keys.meta(q), c.keys.mailbox(g.ID), c.keys.stream(q)}
	for _, root := range g.Roots() {
		keys = append(keys, c.keys.watch(root.Queue))
	}
	_, err := c.run(ctx, "release queue "+q, scripts.release, keys, g.ID, c.keys.mailbox(g.ID), q, c.keys.prefix)
	return err
}

// A Progress is the state of a source in its root queue.
type Progress struct {
	Name        string
	Stored, End int64  // End is -1 until the source has ended
	Cut         string // why it ended early; "": it did not
	Away        string // why no process adds to a durable source; "": a process may
	Named       bool   // durable: if its executor dies, it waits for a successor
	Dropped     bool   // an overflow policy has dropped items, see Dropped
}

// watchPage is the number of changed sources that one script call reads.
const watchPage = 500

// A Watched is a page of the changed sources of a root queue.
type Watched struct {
	Sources []Progress
	Sealed  bool   // no source can join
	Last    string // number of the last change read: the next page follows it
	More    bool   // there are further pages
	// Replaced names the stage that replaced the one before the gathered queue; the queue gets no
	// further items then. "" if none has.
	Replaced string
}

// Watch reads the sources of a root queue that changed after a given number, "0" for all, and the
// sources of some names. It leaves out sources that the gather has delivered to their end. It
// registers the mailbox for hints about further changes. It returns ErrFenced if another gather has
// the queue. Its cost is O(changed sources, at most 500, and names).
func (c *Client) Watch(ctx context.Context, g Gather, root Path, after string, names ...string) (Watched, error) {
	what := "watch queue " + root.Queue
	args := []any{c.keys.mailbox(g.ID), c.keys.source(""), g.Queue.Name, root.Branch, g.reader(), after, watchPage}
	for _, name := range names {
		args = append(args, name)
	}
	reply, err := c.run(ctx, what, scripts.watch, []string{
		c.keys.meta(root.Queue), c.keys.sources(root.Queue), c.keys.watch(root.Queue), c.keys.meta(g.Queue.Name), c.keys.marks(g.Queue.Name),
	}, args...)
	if err != nil {
		return Watched{}, err
	}
	l := asList(reply)
	if err := checkStatus(what, l.text(0)); err != nil {
		return Watched{}, c.Lost(ctx, g.Queue, err)
	}
	w := Watched{Sealed: l.text(0) == "sealed", Last: l.text(1), More: l.number(2) == 1, Replaced: l.text(3)}
	for i := 4; i+6 < len(l); i += 7 {
		w.Sources = append(w.Sources, Progress{
			l.text(i), l.number(i + 1), l.number(i + 2), l.text(i + 3), l.text(i + 4), l.number(i+5) == 1, l.number(i+6) > 0,
		})
	}
	return w, nil
}

// gapsPage is the number of ranges that one call reads.
const gapsPage = 1000

// Dropped reads the ranges that a source has dropped, as from-to joined by commas: the range that
// begins at or before from, and those after it. more reports whether further ranges follow.
func (c *Client) Dropped(ctx context.Context, source string, from int64) (ranges string, more bool, err error) {
	key, at := c.keys.gaps(source), strconv.FormatInt(from, 10)
	var before, behind *redis.StringSliceCmd
	err = c.try(ctx, "read the dropped items of source "+source, func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			before = p.ZRevRangeByScore(ctx, key, &redis.ZRangeBy{Min: "-inf", Max: at, Count: 1})
			behind = p.ZRangeByScore(ctx, key, &redis.ZRangeBy{Min: "(" + at, Max: "+inf", Count: gapsPage})
			return nil
		})
		return err
	})
	if err != nil {
		return "", false, err
	}
	return strings.Join(append(before.Val(), behind.Val()...), ","), len(behind.Val()) == gapsPage, nil
}

// IsGone reports whether err says that a queue no longer exists.
func IsGone(err error) bool {
	return errors.Is(err, ErrQueueNotFound) || hasCode(err, "NOGROUP") || redis.HasErrorPrefix(err, "UNBLOCKED the stream")
}

// IsSick reports whether err says that a queue no longer exists, or that a key of another type has
// the name of one of its streams.
func IsSick(err error) bool { return IsGone(err) || hasCode(err, "WRONGTYPE") }
