// Package consumer is the gather side of a queue. A Receiver reads the entries of a queue, puts the
// items of each source back in order, hands each out once, and acknowledges those that were
// delivered.
//
//	Redis ─> reader ─> payloads ─> validator ─> order ─> output ─> caller
//	                                                        ↑         │ Delivered, Ack, Nack
//	                                                   redeliverer    ↓
//	                                                        └───── tracker ─> committer ─> Redis
//
//	reader       reads entries and hints, each entry once
//	payloads     fetches frames in keys of their own
//	validator    makes dead letters of entries that no source has stored
//	order        puts the ranges of each source in order
//	output       hands out ranges, each after the tracker knows of it
//	tracker      turns delivered items into entries to delete and marks to move
//	redeliverer  hands out again the items that were given back
//	committer    writes acknowledgements
//	sources      know how far each source is, and when the stream ends
//	auditor      searches for items that do not arrive
//
// The readLoop passes data from the reader to the output, and asks sources and the auditor between
// two reads. It has one goroutine. The committer and the redeliverer have one each. Several
// goroutines use the tracker, which has a lock, and the output, which is a channel. Each other part
// belongs to one goroutine.
package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/waits"
)

// closeTimeout bounds the last acknowledgement and the release of the queue.
const closeTimeout = 2 * time.Second

// ErrLeft is the cause of the end of a context if the caller left its loop: it does not want the
// remaining items.
var ErrLeft = errors.New("the loop was left")

// A Receiver reads a queue to its end: ranges in order, each item once.
//
// Run reads and acknowledges. One other goroutine receives from Pieces and calls Delivered.
type Receiver struct {
	client *broker.Client
	gather broker.Gather
	log    *slog.Logger
	retry  func(what string, do func(context.Context) error)

	loop        *readLoop
	redeliverer *redeliverer
	committer   *committer
	tracker     *tracker
	output      *output
	memory      *batch.Memory // of frames
	program     *waits.Clock  // runs while the Receiver waits for the program that takes its items
	wanted      *wanted
	left        chan struct{} // closed by Left
	leave       sync.Once
}

// ReceiverOptions are the options of a Receiver.
type ReceiverOptions struct {
	Executor  string
	Unordered bool
	Standby   bool   // the executor waits for the right to gather
	Private   string // name of the private queue that is read instead, "" for none
	Manual    bool   // items are acknowledged by their tickets, not by Delivered
	// MaxUnacked bounds the items that are handed out and not acknowledged by their tickets. 0:
	// MaxManual.
	MaxUnacked int
	// MaxDeliveries bounds the deliveries of an item: it becomes a dead letter if the last one is
	// given back too. 0: no limit.
	MaxDeliveries int64
	// MaxHeld bounds the bytes of frames that wait for items before them. 0: 256 MiB. Beyond it, a
	// payload stays in Redis until its entry is due.
	MaxHeld int
	Log     *slog.Logger
	// KeepPayloads is how long payloads stay in Redis after their acknowledgement. They are not
	// fetched: the caller gets their names. 0: payloads are fetched and deleted.
	KeepPayloads time.Duration
	Kept         func(payload string) // called for each payload that stays, when it is acknowledged
	// Later repeats do in the background until it succeeds. Logs call it what.
	Later func(what string, do func(context.Context) error)
}

// Receive makes a Receiver the consumer of a queue. The caller must call Run, which releases the
// queue when it ends.
func Receive(ctx context.Context, c *broker.Client, queue string, o ReceiverOptions) (*Receiver, error) {
	id := uuid.NewString()
	g, err := c.Consume(ctx, id, o.Executor, queue)
	if err != nil {
		if !broker.IsRefusal(err) && !errors.Is(err, broker.ErrDenied) { // if only the reply was lost, this gather is the consumer
			maybe := broker.Gather{ID: id, Queue: broker.Queue{Name: queue}}
			o.Later("release of queue "+queue, func(ctx context.Context) error { return c.Release(ctx, maybe) })
		}
		return nil, err
	}
	r, err := newReceiver(c, g, o)
	if err != nil {
		o.Later("release of queue "+queue, func(ctx context.Context) error { return c.Release(ctx, g) })
		return nil, fmt.Errorf("gather queue %s: %w", queue, err)
	}
	return r, nil
}

// newReceiver makes the parts of a Receiver.
func newReceiver(c *broker.Client, g broker.Gather, o ReceiverOptions) (*Receiver, error) {
	order, err := newOrder(g.Delivered(), o.Unordered)
	if err != nil {
		return nil, err
	}
	t, err := newTracker(g.Delivered(), g.Nacked())
	if err != nil {
		return nil, err
	}
	t.latency.now = c.Now
	t.manual.enabled, t.manual.limit, t.deliveries.limit = o.Manual, cmp.Or(o.MaxUnacked, MaxManual), o.MaxDeliveries
	memory, out, ss := new(batch.Memory), newOutput(t), newSources(c, g)
	missed := &wanted{sources: ss, order: order}
	return &Receiver{
		client: c, gather: g, log: o.Log, retry: o.Later,
		loop: &readLoop{
			client: c, gather: g, reader: newReader(c, g, o.Log), sources: ss, order: order, output: out, tracker: t,
			payloads:  &payloads{client: c, order: order, memory: memory, maxHeld: cmp.Or(o.MaxHeld, defaultMaxHeld), keep: o.KeepPayloads > 0},
			validator: &validator{client: c, gather: g, log: o.Log, sources: ss},
			auditor:   newAuditor(c, g, o.Log, ss, order), wanted: missed,
		},
		redeliverer: &redeliverer{tracker: t, output: out},
		committer:   &committer{client: c, gather: g, tracker: t, keep: o.KeepPayloads, kept: o.Kept},
		tracker:     t, output: out, memory: memory, program: t.manual.program, wanted: missed, left: make(chan struct{}),
	}, nil
}

// Pieces returns the channel of ranges. Run closes it when the stream has ended or failed.
func (r *Receiver) Pieces() <-chan Range { return r.output.ranges }

// Delivered reports that n more items were delivered, in the order of Pieces.
func (r *Receiver) Delivered(n int) { r.tracker.deliver(n) }

// DeliveredUpTo returns the offset of a source up to which all items are delivered. It moves with
// Delivered and, behind filters and flat maps, also with offsets that have no item: Skipped has a token
// then.
func (r *Receiver) DeliveredUpTo(source string) int64 { return r.tracker.deliveredUpTo(source) }

// Skipped returns a channel that gets a token when offsets without an item count as delivered.
func (r *Receiver) Skipped() <-chan struct{} { return r.tracker.skip }

// Spent lets the memory of a range be used again. The caller has no reference to its frame any
// more.
func (r *Receiver) Spent(rg Range) {
	if rg.tickets != nil { // its items may be given back
		r.tracker.reuse(r.memory)
		return
	}
	whole := rg.From == rg.Entry.First && rg.To == rg.Entry.End() && len(rg.positions) == len(rg.all) // otherwise other ranges may refer to the frame
	if whole && rg.Entry.Payload != "" {
		r.memory.Put(rg.Entry.Frame)
	}
}

// Left says that the caller receives no more ranges, and has reported all deliveries. It may be
// called more than once.
func (r *Receiver) Left() { r.leave.Do(func() { close(r.left) }) }

// Run reads until the stream has ended and all items are delivered, or until ctx ends or the queue
// is lost. In the last two cases it waits for Left, acknowledges the items that are delivered by
// then, and returns the reason.
func (r *Receiver) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, r.loop.reader.interrupt)
	group.Go(func() error { return r.read(ctx) })
	group.Go(func() error { return r.committer.run(ctx) })
	err := group.Wait()
	stop()
	r.loop.reader.close() //nolint:contextcheck // it takes none
	if err != nil {
		<-r.left
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if failed := r.release(last); failed != nil {
		r.log.WarnContext(ctx, "queue release failed; it is repeated until it succeeds", "queue", r.gather.Queue.Name, "err", failed)
		r.retry("release of queue "+r.gather.Queue.Name, r.release)
	}
	r.tracker.close(err)
	return err
}

// read hands out ranges until none is left, and then closes the channel.
func (r *Receiver) read(ctx context.Context) error {
	defer r.output.close()
	group, ctx := errgroup.WithContext(ctx)
	if r.tracker.manual.enabled {
		group.Go(func() error { return r.redeliverer.run(ctx) })
	}
	err := r.loop.run(ctx)
	r.tracker.end()
	if err != nil {
		group.Go(func() error { return err }) // ends the redeliverer
	}
	return group.Wait()
}

// release acknowledges the delivered items and gives up the right to the queue.
func (r *Receiver) release(ctx context.Context) error {
	if err := r.committer.flush(ctx); err != nil && ctx.Err() != nil { // no answer, rather than a refusal
		return err
	}
	return r.client.Release(ctx, r.gather)
}
