package broker

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Source is the right to add items to a queue, under one name and epoch.
type Source struct {
	Name  string
	Queue Queue
	Epoch int64
	// Overflow is the policy for items that do not fit. The producer chooses it; Redis does not
	// store it.
	Overflow OverflowPolicy

	claim string // random text of the call that made this source
	lost  []byte // encoded failure for items that Redis loses
}

// An OverflowPolicy selects what happens to items if the queue or the window is full.
type OverflowPolicy string

// The policies. Only the last two drop items.
const (
	OverflowBlock      OverflowPolicy = "block"       // the source waits; the default
	OverflowFail       OverflowPolicy = "fail"        // the source is abandoned
	OverflowDropNewest OverflowPolicy = "drop-newest" // the new items are dropped
	OverflowDropOldest OverflowPolicy = "drop-oldest" // the oldest unread items are dropped
)

// A SourceOption configures Client.Source.
type SourceOption func(*sourceOptions)

type sourceOptions struct {
	executor string
	named    int
	keep     string
	planned  bool
	private  *Queue
}

// Of names the executor of a source. If that executor dies, the watcher abandons the source.
func Of(executor string) SourceOption { return func(h *sourceOptions) { h.executor = executor } }

// Durable makes a source outlive its executor: the next call of Source with the same name continues
// it.
func Durable() SourceOption { return func(h *sourceOptions) { h.named = 1 } }

// KeepInputs stores each item until it is delivered, so that Input can read it. format names the
// type and the codec of the items.
func KeepInputs(format string) SourceOption { return func(h *sourceOptions) { h.keep = format } }

// OfPlanned creates the queue in the same round trip. See Queue.Planned.
func OfPlanned() SourceOption { return func(h *sourceOptions) { h.planned = true } }

// Source makes a source of a queue, or takes over the source of that name. stored is the offset at
// which it continues. With seal 1, no other source may join the queue afterwards.
//
// If the error is not a refusal, see IsRefusal, the source may exist: pass the returned one to
// Abandon.
func (c *Client) Source(ctx context.Context, name string, q Queue, seal int, opts ...SourceOption) (s Source, stored int64, err error) {
	var by sourceOptions
	for _, o := range opts {
		o(&by)
	}
	if by.private != nil {
		name = by.private.Name
	} else if err := CheckName("source", name); err != nil {
		return Source{}, 0, err
	}
	what := "scatter into queue " + q.Name
	s = Source{Name: name, Queue: q, claim: rand.Text()[:8], lost: lostFailure(q.Name)}
	var calls []scriptCall
	var made []Queue
	if by.planned {
		made = append(made, q)
	}
	if by.private != nil {
		made = append(made, *by.private)
	}
	for _, q := range made {
		declaration, err := c.declaration(q)
		if err != nil {
			return s, 0, err
		}
		calls = append(calls, declaration)
	}
	replies, err := c.runInOrder(ctx, what, append(calls, scriptCall{
		scripts.source,
		[]string{c.keys.source(name), c.keys.meta(q.Name), c.keys.sources(q.Name), c.keys.watch(q.Name), c.keys.registry(RoleExecutor), c.keys.named(q.Name)},
		[]any{name, q.Name, q.Inc, seal, by.executor, by.named, c.keys.holds(""), s.claim, by.keep},
	})...)
	if err != nil {
		return s, 0, err
	}
	l := asList(replies[len(calls)])
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
	case "branched":
		err = errBranched
	default:
		return Source{}, 0, c.Lost(ctx, q, checkStatus(what, status))
	}
	return Source{}, l.number(2), fmt.Errorf("%s: source %s: %w", what, name, err)
}

// A Scattered is the result of Scatter.
type Scattered struct {
	Stored int64         // offset below which all items are stored
	Full   bool          // the other items do not fit yet; the mailbox gets HintRoom when there is room
	Window bool          // of Full: the window is reached, and not the bound of the queue
	Cut    bool          // the first batch begins below Stored: cut it there
	Room   int64         // items that fit now; -1: no bound
	Cost   time.Duration // of an item at the most expensive stage; 0: not known
	Limit  int64         // largest number of items of a batch; 0: no bound
	Memory bool          // the memory of Redis was full during the call: send few batches
	Low    int64         // offset below which all gathers have delivered; -1: there is no gather
	// Dropped lists the ranges of these batches that a policy dropped, as from-to joined by commas.
	Dropped string
}

// A Parcel is a batch that Scatter stores. It remembers its payload key, so that a batch that did
// not fit is not written twice.
type Parcel struct {
	batch.Batch
	Trace   string // that the spans of the batch link to, "": none
	id      string // of its payload key, "" until a call needs one
	written bool   // the payload key exists: the batch waits for room in its queue
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
	what, full, end := "scatter into queue "+s.Queue.Name, false, int64(0)
	if len(parcels) > 0 {
		end = parcels[0].End()
	}
	for {
		var l list
		var refused error
		err := c.try(ctx, what, func(ctx context.Context) (err error) {
			if full && len(parcels[0].Frame) > FullBytes {
				err = c.probeMemory(ctx)
			}
			if err == nil {
				l, refused, err = c.scatter(ctx, s, mailbox, window, parcels)
			}
			if refused != nil && l.number(1) <= parcels[0].First { // no item is stored
				err = refused
			}
			if isFull(err) && !full {
				full, parcels = true, smallest(parcels)
			}
			return err
		})
		if err != nil {
			return Scattered{}, err
		}
		status := l.text(0)
		if status == "resend" && refused == nil { // a payload expired before the script committed it
			continue
		}
		if kept, err := c.replicated(ctx, sourceField{s.Name, "stored", l.number(1)}); err != nil {
			return Scattered{}, err
		} else if !kept[0] { // a failover lost the write: repeat from the stored offset
			continue
		}
		stored := l.number(1)
		part := full && parcels[0].End() < end // of the first batch
		if part && stored < parcels[0].End() { // it waits for room, and the caller does not know its payload
			_ = c.Discard(ctx, parcels...)
		}
		return Scattered{
			Stored: stored, Full: status == "full" || status == "window", Window: status == "window",
			Cut: status == "straddle" || part && stored == parcels[0].End(), Memory: full || refused != nil,
			Room: l.number(2), Cost: time.Duration(l.number(3)), Limit: l.number(4), Low: l.number(5), Dropped: l.text(6),
		}, c.Lost(ctx, s.Queue, checkStatus(what, status))
	}
}

// FullBytes is the size of a call of Scatter after Redis has refused one for lack of memory. Redis
// keeps a buffer for two seconds for each connection that has sent a frame of 32 KiB or more, also
// if it has refused the frame, and the buffer counts as used memory.
const FullBytes = 31 << 10

// ItemsWithin returns about the number of items of the parcel that take so many bytes, at least one.
// It is N if the parcel is in Redis already and waits for room in its queue.
func (p Parcel) ItemsWithin(bytes int) int {
	if p.written || len(p.Frame) <= bytes {
		return p.N
	}
	return max(1, int(int64(p.N)*int64(bytes)/int64(len(p.Frame))))
}

// smallest returns the first parcel, or the first of its items if it is large.
func smallest(parcels []Parcel) []Parcel {
	first := parcels[0]
	if at := first.ItemsWithin(FullBytes); at < first.N {
		if head, _, err := first.Split(at); err == nil {
			return []Parcel{{Batch: head, Trace: first.Trace}}
		}
	}
	return parcels[:1]
}

// probeMemory returns an error if the memory of Redis is full.
func (c *Client) probeMemory(ctx context.Context) error {
	return c.rdb.Set(ctx, c.keys.payload("probe"), "", time.Millisecond).Err()
}

// scatter makes one call of the script. If a payload is missing, the script has stored the parcels
// before it and deleted the payloads behind it. refused is the error with which Redis refused the
// missing payload.
func (c *Client) scatter(ctx context.Context, s Source, mailbox string, window Window, parcels []Parcel) (l list, refused, err error) {
	k, q := c.keys, s.Queue.Name
	args := append(make([]any, 0, 8+6*len(parcels)), s.Name, s.Epoch, s.Queue.Inc, k.mailbox(mailbox), window.argument(),
		s.lost, string(s.Overflow), k.prefix)
	keys := []string{k.source(s.Name), k.meta(q), k.stream(q), k.wait(q), k.watch(q), k.sources(q)}
	var payloads []payload
	for i := range parcels {
		p := &parcels[i]
		kind, data := "f", any(p.id)
		switch {
		case p.id == "":
			kind, data, payloads = c.encode(p.Batch, payloads)
			if kind == "f" {
				p.id, _ = data.(string)
			}
		case !p.written:
			payloads = append(payloads, payload{k.payload(p.id), p.Frame})
		}
		if p.id != "" {
			keys = append(keys, k.payload(p.id))
		}
		args = append(args, p.First, p.N, len(p.Frame), p.Trace, kind, data)
	}
	reply, refused, err := c.sendWith(ctx, scripts.scatter, payloads, keys, args...)
	if err != nil {
		return nil, nil, err
	}
	l = asList(reply)
	missing := l.text(0) == "resend"
	for i := range parcels {
		parcels[i].written = parcels[i].id != "" && !missing
	}
	if !missing {
		refused = nil
	}
	return l, refused, nil
}

// Discard deletes the payloads of parcels that will not be stored. A stored parcel keeps its
// payload, also if the reply of its Scatter was lost or that call is still running. It is safe to
// repeat.
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

// Finish ends a source after its last item, at the offset end. Items that Redis has lost become
// failures. It is safe to repeat.
func (c *Client) Finish(ctx context.Context, s Source, end int64) error {
	what := "end the source of queue " + s.Queue.Name
	keys, args := c.finishArgs(End{s, end})
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
		if status == "gone" && attempts > 1 && c.exists(ctx, s.Queue) {
			return nil // an earlier attempt ended the source, and it was delivered and removed since
		}
		if status != "ok" {
			return c.Lost(ctx, s.Queue, checkStatus(what, status))
		}
		if kept, err := c.replicated(ctx, sourceField{s.Name, "end", end}); err != nil || kept[0] {
			return err
		}
	}
}

// finishArgs returns the keys and arguments of finish.lua.
func (c *Client) finishArgs(e End) (keys []string, args []any) {
	k, s := c.keys, e.Source
	return []string{k.source(s.Name), k.watch(s.Queue.Name), k.meta(s.Queue.Name), k.stream(s.Queue.Name), k.sources(s.Queue.Name)},
		[]any{s.Name, s.Epoch, e.At, s.Queue.Inc, s.lost, k.holds("")}
}

// exists reports whether the queue still exists.
func (c *Client) exists(ctx context.Context, q Queue) bool {
	found, err := c.Look(ctx, q.Name)
	return err == nil && found.Inc == q.Inc
}

// lostFailure returns the encoded failure for items of a source that Redis loses.
func lostFailure(queue string) []byte {
	return batch.Failure{Code: batch.CodeLost, Message: "Redis lost it before it was read", Stage: queue}.Append(nil)
}

// Abandon ends a source at its stored offset and records the cause, which its gathers then report.
// A durable source stays open for a successor instead. It is safe to repeat.
func (c *Client) Abandon(ctx context.Context, s Source, cause string) error {
	what := "abandon the source of queue " + s.Queue.Name
	reply, err := c.run(ctx, what, scripts.abandon,
		[]string{c.keys.source(s.Name), c.keys.watch(s.Queue.Name), c.keys.meta(s.Queue.Name), c.keys.sources(s.Queue.Name)},
		s.Name, s.Epoch, cause, s.Queue.Inc, c.keys.holds(""), s.claim)
	if err != nil {
		return err
	}
	status, _ := reply.(string)
	return checkStatus(what, status)
}
