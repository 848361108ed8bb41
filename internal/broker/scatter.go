package broker

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Source is the right to add to a queue, under one name and epoch.
type Source struct {
	Name  string
	Queue Queue
	Epoch int64
	// Overflow is what becomes of items for which there is no room. It is the
	// holder's choice and not kept in Redis.
	Overflow OverflowPolicy

	claim string // random text of the call that made it
	lost  []byte // the failure of items that Redis loses of it
}

// An OverflowPolicy is what becomes of items for which there is no room.
type OverflowPolicy string

// The policies. None but the two that drop lose anything.
const (
	OverflowBlock      OverflowPolicy = "block"       // they wait, as without a policy
	OverflowFail       OverflowPolicy = "fail"        // the source is given up
	OverflowDropNewest OverflowPolicy = "drop-newest" // they are dropped
	OverflowDropOldest OverflowPolicy = "drop-oldest" // what nobody has read yet is dropped, the oldest first
)

// A SourceOption tells who makes a source.
type SourceOption func(*holder)

type holder struct {
	executor string
	named    int
	keep     string
}

// Of is the executor that a source goes with: when it dies, the source is given
// up.
func Of(executor string) SourceOption { return func(h *holder) { h.executor = executor } }

// Durable lets a source outlive its executor: whoever makes one of the same
// name goes on with it.
func Durable() SourceOption { return func(h *holder) { h.named = 1 } }

// KeepInputs keeps each item until it is delivered, for Input; format names their type and codec.
func KeepInputs(format string) SourceOption { return func(h *holder) { h.keep = format } }

// Source makes a source of a queue, or takes over the one of that name; stored
// is the offset where it goes on. seal lets no other source join after it. If the error
// is no refusal, the source may be there: Abandon ends the one that is returned.
func (c *Client) Source(ctx context.Context, name string, q Queue, seal int, opts ...SourceOption) (s Source, stored int64, err error) {
	var by holder
	for _, o := range opts {
		o(&by)
	}
	if err := CheckName("source", name); err != nil {
		return Source{}, 0, err
	}
	what := "scatter into queue " + q.Name
	s = Source{Name: name, Queue: q, claim: rand.Text()[:8], lost: lostBefore(q.Name)}
	reply, err := c.run(ctx, what, scripts.source,
		[]string{c.keys.source(name), c.keys.meta(q.Name), c.keys.sources(q.Name), c.keys.watch(q.Name), c.keys.registry(RoleExecutor), c.keys.named(q.Name)},
		name, q.Name, q.Inc, seal, by.executor, by.named, c.keys.holds(""), s.claim, by.keep)
	if err != nil {
		return s, 0, err
	}
	l := asList(reply)
	switch status := l.text(0); status {
	case "ok":
		s.Epoch = l.number(1)
		return s, l.number(2), nil
	case "sealed":
		err = ErrSealed
	case "ended":
		err = ErrEnded
	case "elsewhere":
		err = ErrElsewhere
	default:
		return Source{}, 0, checkStatus(what, status)
	}
	return Source{}, l.number(2), fmt.Errorf("%s: source %s: %w", what, name, err)
}

// Scattered is how far a source got.
type Scattered struct {
	Stored int64         // offset up to which all is stored
	Full   bool          // the rest waits until the mailbox is told "room"
	Cut    bool          // the first batch begins below Stored: cut it there
	Room   int64         // items that would be taken now, -1: no bound
	Cost   time.Duration // of an item at the dearest stage, 0: not known
	Limit  int64         // items of a batch, 0: no bound
	Low    int64         // offset up to which all gathers have delivered, -1: there is none
	// Dropped is what a policy dropped of these batches, as from-to with commas between.
	Dropped string
}

// A Parcel is a batch on its way into Redis. It keeps the name of its payload
// key, so that what did not fit is not written twice.
type Parcel struct {
	batch.Batch
	id string // of its payload key, once that is written
}

// A Window bounds the items that a source has stored and that a gather has not delivered.
type Window struct {
	Items        int64 // 0 for no bound
	OnceGathered bool  // the bound holds from the first gather on
}

// argument returns the window as the script takes it: 0 for no bound, and a negative number for one
// that holds from the first gather on.
func (w Window) argument() int64 {
	if w.OnceGathered {
		return -w.Items
	}
	return w.Items
}

// Scatter stores the batches of a source once each, in their order, as far as the bounds of the queue
// and the window allow. An overflow policy that drops items makes room, or stores a gap for a batch.
// Scatter is safe to repeat.
func (c *Client) Scatter(ctx context.Context, s Source, mailbox string, window Window, parcels []Parcel) (Scattered, error) {
	k, q, what := c.keys, s.Queue.Name, "scatter into queue "+s.Queue.Name
	for {
		args := append(make([]any, 0, 8+5*len(parcels)), s.Name, s.Epoch, s.Queue.Inc, k.mailbox(mailbox), window.argument(),
			s.lost, string(s.Overflow), k.prefix)
		keys := []string{k.source(s.Name), k.meta(q), k.stream(q), k.wait(q), k.watch(q), k.sources(q)}
		var payloads []payload
		for i := range parcels {
			p := &parcels[i]
			kind, data, written := "f", any(p.id), []payload(nil)
			if p.id == "" {
				kind, data, written = c.part(p.Batch, nil)
			}
			if len(written) > 0 {
				p.id, _ = data.(string)
				payloads = append(payloads, written...)
			}
			if p.id != "" {
				keys = append(keys, k.payload(p.id))
			}
			args = append(args, p.First, p.N, len(p.Frame), kind, data)
		}
		reply, err := c.runWith(ctx, what, scripts.scatter, payloads, keys, args...)
		if err != nil {
			return Scattered{}, err
		}
		l := asList(reply)
		status := l.text(0)
		if status == "resend" { // a payload ran out of time before it was committed
			for i := range parcels {
				parcels[i].id = ""
			}
			continue
		}
		if kept, err := c.replicated(ctx, written{s.Name, "stored", l.number(1)}); err != nil {
			return Scattered{}, err
		} else if !kept[0] { // another server has taken over: once more, as far as that got
			continue
		}
		return Scattered{
			Stored: l.number(1), Full: status == "full" || status == "window", Cut: status == "straddle",
			Room: l.number(2), Cost: time.Duration(l.number(3)), Limit: l.number(4), Low: l.number(5), Dropped: l.text(6),
		}, checkStatus(what, status)
	}
}

// Discard deletes the payloads of parcels that will not be stored. One that is
// stored all the same keeps its own: a call whose reply was lost may have done it,
// or do it still. It is safe to repeat.
func (c *Client) Discard(ctx context.Context, parcels ...Parcel) error {
	var keys []string
	for _, p := range parcels {
		if p.id != "" {
			keys = append(keys, c.keys.payload(p.id))
		}
	}
	if keys == nil {
		return nil
	}
	_, err := c.run(ctx, "delete payloads", scripts.discard, keys)
	return err
}

// Finish ends a source behind its last item. What Redis has lost of it becomes
// lost items. It is safe to repeat.
func (c *Client) Finish(ctx context.Context, s Source, end int64) error {
	what := "end the source of queue " + s.Queue.Name
	keys, args := c.ending(End{s, end})
	attempts := 0
	for {
		var status string
		err := c.try(ctx, what, func(ctx context.Context) (err error) {
			attempts++
			status, err = scripts.finish.Run(ctx, c.rdb, keys, args...).Text()
			return err
		})
		if err != nil {
			return err
		}
		if status == "gone" && attempts > 1 && c.stands(ctx, s.Queue) {
			return nil // an earlier attempt has ended it, and it was delivered and forgotten meanwhile
		}
		if status != "ok" {
			return checkStatus(what, status)
		}
		if kept, err := c.replicated(ctx, written{s.Name, "end", end}); err != nil || kept[0] {
			return err
		}
	}
}

// ending returns what finish.lua is called with.
func (c *Client) ending(e End) (keys []string, args []any) {
	k, s := c.keys, e.Source
	return []string{k.source(s.Name), k.watch(s.Queue.Name), k.meta(s.Queue.Name), k.stream(s.Queue.Name), k.sources(s.Queue.Name)},
		[]any{s.Name, s.Epoch, e.At, s.Queue.Inc, s.lost, k.holds("")}
}

// stands reports whether a queue is still there.
func (c *Client) stands(ctx context.Context, q Queue) bool {
	found, err := c.Look(ctx, q.Name)
	return err == nil && found.Inc == q.Inc
}

// lostBefore is the failure of items that Redis loses of a source of a queue.
func lostBefore(queue string) []byte {
	return batch.Failure{Code: batch.CodeLost, Message: "Redis lost it before it was read", Stage: queue}.Append(nil)
}

// Abandon ends a source where it stands, and the gathers are told why once they
// are there; a named one stays open for a successor. It is safe to repeat.
func (c *Client) Abandon(ctx context.Context, s Source, cause string) error {
	what := "give up the source of queue " + s.Queue.Name
	reply, err := c.run(ctx, what, scripts.abandon,
		[]string{c.keys.source(s.Name), c.keys.watch(s.Queue.Name), c.keys.meta(s.Queue.Name), c.keys.sources(s.Queue.Name)},
		s.Name, s.Epoch, cause, s.Queue.Inc, c.keys.holds(""), s.claim)
	if err != nil {
		return err
	}
	status, _ := reply.(string)
	return checkStatus(what, status)
}
