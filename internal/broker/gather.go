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
	ID    string // consumer name and mailbox
	Queue Queue
	Epoch int64
	acks  *atomic.Int64 // number of the last acknowledgement

	delivered map[string]string // when it began, by source
	nacked    map[Item]int64    // when it began
}

// Consume makes a gather the consumer of a queue, with a mailbox. It takes over from a
// gather whose executor is not in the registry, since it was declared dead or has left;
// otherwise it returns ErrConsumerExists. No clock is involved: an outage, or another server whose
// clock is ahead, ends no gather.
func (c *Client) Consume(ctx context.Context, id, executor, queue string) (Gather, error) {
	what := "gather queue " + queue
	reply, err := c.run(ctx, what, scripts.consume,
		[]string{c.keys.meta(queue), c.keys.mailbox(id), c.keys.registry(RoleExecutor), c.keys.marks(queue), c.keys.nacked(queue), c.keys.returns(queue), c.keys.suspects(queue)},
		id, executor)
	if err != nil {
		return Gather{}, err
	}
	l := asList(reply)
	switch l.text(0) {
	case "version":
		return Gather{}, fmt.Errorf("gather: %w", checkVersion(queue, l.text(1)))
	case "taken":
		return Gather{}, fmt.Errorf("gather: %w", c.takenBy(ctx, queue, l.text(1), l.text(2)))
	case "gone":
		return Gather{}, fmt.Errorf("%s: %w", what, ErrQueueNotFound)
	}
	g := Gather{ID: id, Queue: queueOf(queue, l.list(2).fields()), Epoch: l.number(1), acks: new(atomic.Int64)}
	if g.delivered = l.list(3).fields(); l.list(3) == nil {
		g.delivered, err = c.scan(ctx, "read what was delivered of queue "+queue, c.keys.marks(queue))
	}
	if err == nil && l.number(5) > 0 {
		g.nacked, err = c.readNacked(ctx, queue)
	}
	if err == nil && l.number(4) > 0 {
		err = c.CollectRequeued(ctx, g)
	}
	return g, err
}

// takenBy is the error of a queue that another gather has. It names the process of that gather, if that
// can be read.
func (c *Client) takenBy(ctx context.Context, queue, consumer, executor string) error {
	if executor == "" {
		return taken(queue, consumer)
	}
	var card *redis.SliceCmd
	var now *redis.TimeCmd
	if err := c.try(ctx, "read who gathers", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			card = p.HMGet(ctx, c.keys.card(RoleExecutor, executor), "host", "pid", "seen")
			now = p.Time(ctx)
			return nil
		})
		return err
	}); err != nil {
		return taken(queue, consumer)
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

// reader is what a gather is told from all others by, also those of another queue that
// has the name now: their epochs begin anew.
func (g Gather) reader() string { return fmt.Sprint(g.Queue.Inc, " ", g.Epoch) }

// Delivered returns for each source what was delivered of the queue: the mark
// and the ranges above it, as Ack wrote them.
func (g Gather) Delivered() map[string]string { return g.delivered }

// Inherit moves to the gather what its predecessors read and did not finish. The one
// that it was taken over from leaves no name: nobody else would ever remove it.
func (c *Client) Inherit(ctx context.Context, g Gather) ([]Entry, error) {
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
			return nil, fmt.Errorf("%s: %w", what, ErrQueueNotFound)
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

// Roots are the paths on which the items of the gathered queue come.
func (g Gather) Roots() []Path { return g.Queue.paths() }

// A Mark is how far a source was delivered in a queue.
type Mark struct {
	Source    string  // its name in the queue, see Root
	Delivered string  // the mark and the ranges above it
	Low       int64   // offset below which all is delivered
	Settled   []int64 // offsets whose deliveries are forgotten, see Nack
	Retire    bool    // it has ended and is delivered here: it is forgotten once that is so in all leaves of its root
}

// Root splits the name of a source in a queue, or of a path in From, into what
// it was called where it was scattered and the branches that it took.
func Root(name string) (root, branch string) {
	if i := strings.IndexByte(name, '~'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

// Ack takes entries that were delivered whole out of the queue and moves the
// marks of their sources. Their payload keys are deleted, or live on for keep.
// rootOf tells which root queue a source feeds. One that arrives behind a later
// one changes nothing. waited tells whether somebody waited for it.
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
		retire := 0
		if m.Retire {
			retire = 1
		}
		args = append(args, m.Source, name, root, m.Delivered, m.Low, retire)
	}
	for _, m := range marks {
		for _, offset := range m.Settled {
			args = append(args, Item{m.Source, offset}.field())
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
	return false, checkStatus(what, status)
}

// Release gives the queue up, if the gather is its consumer. It is safe to repeat, and needs the
// gather's ID and the name of the queue alone if Watch was not called.
func (c *Client) Release(ctx context.Context, g Gather) error {
	q := g.Queue.Name
	keys := []string{c.keys.meta(q), c.keys.mailbox(g.ID), c.keys.stream(q)}
	for _, root := range g.Roots() {
		keys = append(keys, c.keys.watch(root.Queue))
	}
	_, err := c.run(ctx, "release queue "+q, scripts.release, keys, g.ID, c.keys.mailbox(g.ID), q, c.keys.prefix)
	return err
}

// Progress is how far a source got at its root.
type Progress struct {
	Name        string
	Stored, End int64  // End is -1 until it has ended
	Cut         string // why it ended early, "" if it did not
	Away        string // why no process adds to a named one, "" if one may
	Named       bool   // it waits for a successor when its maker dies
	Dropped     bool   // a policy has dropped some of its items, see Dropped
}

// watchPage changes of sources are read by one call of a script.
const watchPage = 500

// A Watched is a page of the sources of a root queue that have changed.
type Watched struct {
	Sources []Progress
	Sealed  bool   // no source can join any more
	Last    string // number of the last change read: where the next page begins
	More    bool   // there are more
	// Replaced is the stage that has replaced the one before the gathered queue, which gets no items any more; ""
	// if none has.
	Replaced string
}

// Watch reads the sources of a root queue that have changed after a number, "0" for all, and those of some names. It
// leaves out what the gather has delivered to the end. The mailbox is told of further changes. ErrFenced: another
// gather has the queue. The cost is that of what has changed, at most watchPage, and of the names.
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
		return Watched{}, err
	}
	w := Watched{Sealed: l.text(0) == "sealed", Last: l.text(1), More: l.number(2) == 1, Replaced: l.text(3)}
	for i := 4; i+6 < len(l); i += 7 {
		w.Sources = append(w.Sources, Progress{
			l.text(i), l.number(i + 1), l.number(i + 2), l.text(i + 3), l.text(i + 4), l.number(i+5) == 1, l.number(i+6) > 0,
		})
	}
	return w, nil
}

// gapsPage ranges are read by one call.
const gapsPage = 1000

// Dropped reads the ranges that a source has dropped, as from-to with commas between: the one that begins at an offset
// or before it, and those behind. more: there are others behind the last one.
func (c *Client) Dropped(ctx context.Context, source string, from int64) (ranges string, more bool, err error) {
	key, at := c.keys.gaps(source), strconv.FormatInt(from, 10)
	var before, behind *redis.StringSliceCmd
	err = c.try(ctx, "read what source "+source+" has dropped", func(ctx context.Context) error {
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

// IsGone reports whether the error says that a queue is no longer there.
func IsGone(err error) bool {
	return errors.Is(err, ErrQueueNotFound) || hasCode(err, "NOGROUP") || redis.HasErrorPrefix(err, "UNBLOCKED the stream")
}

// IsSick reports whether the error says that a queue is no longer there, or that
// somebody's own key is in the place of one of its streams.
func IsSick(err error) bool { return IsGone(err) || hasCode(err, "WRONGTYPE") }
