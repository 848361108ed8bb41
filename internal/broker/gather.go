package broker

import (
	"context"
	"errors"
	"fmt"
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
}

// Consume makes a gather the consumer of a queue, with a mailbox. It takes over from a
// gather whose executor is not in the registry, since it was declared dead or has left;
// otherwise it returns ErrTaken. No clock is involved: an outage, or another server whose
// clock is ahead, ends no gather.
func (c *Client) Consume(ctx context.Context, id, executor, queue string) (Gather, error) {
	what := "gather queue " + queue
	reply, err := c.run(ctx, what, scripts.consume,
		[]string{c.keys.meta(queue), c.keys.mailbox(id), c.keys.registry(RoleExecutor)}, id, executor)
	if err != nil {
		return Gather{}, err
	}
	l := asList(reply)
	switch l.text(0) {
	case "version":
		return Gather{}, fmt.Errorf("gather: %w", checkVersion(queue, l.text(1)))
	case "taken":
		return Gather{}, fmt.Errorf("gather: %w", taken(queue, l.text(1)))
	case "gone":
		return Gather{}, fmt.Errorf("%s: %w", what, ErrNoQueue)
	}
	return Gather{id, queueOf(queue, l.list(2).fields()), l.number(1), new(atomic.Int64)}, nil
}

// reader is what a gather is told from all others by, also those of another queue that
// has the name now: their epochs begin anew.
func (g Gather) reader() string { return fmt.Sprint(g.Queue.Inc, " ", g.Epoch) }

// Delivered returns for each source what was delivered of the queue: the mark
// and the ranges above it, as Ack wrote them.
func (g Gather) Delivered() map[string]string { return g.Queue.delivered }

// Inherit moves to the gather what its predecessors read and did not finish. The one
// that it was taken over from leaves no name: nobody else would ever remove it.
func (c *Client) Inherit(ctx context.Context, g Gather) ([]Entry, error) {
	var entries []Entry
	start := "0-0"
	for {
		var reply any
		err := c.try(ctx, "inherit queue "+g.Queue.Name, func(ctx context.Context) (err error) {
			reply, err = c.rdb.Do(ctx, "XAUTOCLAIM", c.keys.stream(g.Queue.Name), "w", g.ID, 0, start, "COUNT", 100).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range entriesOf(Place{Queue: g.Queue.Name}, asList(reply).list(1)) {
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

// Roots are the queues that the gathered one is fed from, itself where it is one.
func (g Gather) Roots() []Path {
	if len(g.Queue.From) == 0 {
		return []Path{{Queue: g.Queue.Name}}
	}
	roots := make([]Path, len(g.Queue.From))
	for i, path := range g.Queue.From {
		roots[i].Queue, roots[i].Branch = Root(path)
	}
	return roots
}

// A Mark is how far a source was delivered in a queue.
type Mark struct {
	Source    string // its name in the queue, see Root
	Delivered string // the mark and the ranges above it
	Low       int64  // offset below which all is delivered
	Retire    bool   // it has ended and is delivered: forget it
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
	keys := []string{k.meta(q), k.stream(q), k.wait(q)}
	args := []any{g.reader(), g.acks.Add(1), q, len(entries), len(marks)}
	for _, e := range entries {
		args = append(args, e.ID)
	}
	for _, m := range marks {
		name, _ := Root(m.Source)
		keys = append(keys, k.source(name), k.sources(rootOf(m.Source)))
		retire := 0
		if m.Retire {
			retire = 1
		}
		args = append(args, m.Source, name, m.Delivered, m.Low, retire)
	}
	var payloads []string
	for _, e := range entries {
		if e.Payload != "" {
			payloads = append(payloads, e.Payload)
			keys = append(keys, k.payload(e.Payload))
		}
	}
	what := "acknowledge items of queue " + q
	if keep > 0 && payloads != nil {
		if err := c.Keep(ctx, payloads, keep); err != nil {
			return false, err
		}
		keys = keys[:len(keys)-len(payloads)]
	}
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

// Release gives the queue up.
func (c *Client) Release(ctx context.Context, g Gather) error {
	q := g.Queue.Name
	keys := []string{c.keys.meta(q), c.keys.mailbox(g.ID), c.keys.stream(q)}
	for _, root := range g.Roots() {
		keys = append(keys, c.keys.watch(root.Queue))
	}
	_, err := c.run(ctx, "release queue "+q, scripts.release, keys, g.reader(), c.keys.mailbox(g.ID))
	return err
}

// Progress is how far a source got at its root.
type Progress struct {
	Stored, End int64  // End is -1 until it has ended
	Cut         string // why it ended early, "" where it did not
	Away        string // why nobody adds to a named one, "" where somebody may
	Named       bool   // it waits for a successor when its maker dies
	Gaps        string // ranges that a policy dropped, as from-to with commas between
}

// Watch reads the sources of a root queue and lets the mailbox know when one
// joins or ends. sealed is whether none can join any more.
func (c *Client) Watch(ctx context.Context, g Gather, root string) (sources map[string]Progress, sealed bool, err error) {
	what := "watch queue " + root
	reply, err := c.run(ctx, what, scripts.watch,
		[]string{c.keys.meta(root), c.keys.sources(root), c.keys.watch(root)}, c.keys.mailbox(g.ID), c.keys.source(""), g.Queue.Name)
	if err != nil {
		return nil, false, err
	}
	l := asList(reply)
	if l.text(0) == "gone" {
		return nil, false, fmt.Errorf("%s: %w", what, ErrNoQueue)
	}
	sources = map[string]Progress{}
	for i := 1; i+6 < len(l); i += 7 {
		sources[l.text(i)] = Progress{l.number(i + 1), l.number(i + 2), l.text(i + 3), l.text(i + 4), l.number(i+5) == 1, l.text(i + 6)}
	}
	return sources, l.text(0) == "sealed", nil
}

// IsGone reports whether the error says that a queue is no longer there.
func IsGone(err error) bool {
	return errors.Is(err, ErrNoQueue) || hasCode(err, "NOGROUP") || redis.HasErrorPrefix(err, "UNBLOCKED the stream")
}

// IsSick reports whether the error says that a queue is no longer there, or that
// somebody's own key is in the place of one of its streams.
func IsSick(err error) bool { return IsGone(err) || hasCode(err, "WRONGTYPE") }
