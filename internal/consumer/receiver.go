// Package consumer is the gather side of a queue. A Receiver reads the entries of a queue, puts the
// items of each source back in order, hands them out once, and acknowledges those that were
// delivered.
package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

const (
	readWait   = 2 * time.Second // of a blocked read
	readBytes  = 8 << 20         // of one read, about
	maxEntries = 256             // of one read
	piecesHeld = 4               // read ahead of the deliverer
	failPause  = 100 * time.Millisecond
	// lookAgain is the first time between two looks at the sources without a hint, since a hint may be
	// lost. It doubles up to idlePace while the queue is idle.
	lookAgain = time.Second
	idlePace  = 8 * time.Second
	// closing is how long the last acknowledgement may take.
	closing = 2 * time.Second
)

// A Receiver reads a queue to its end: pieces in order, each item once.
//
// Run reads and acknowledges; Pieces are received and reported with Delivered
// by one other goroutine.
type Receiver struct {
	c      *broker.Client
	log    *slog.Logger
	later  func(what string, do func(context.Context) error)
	g      broker.Gather
	keep   time.Duration
	kept   func(payload string)
	reader *broker.Reader
	pieces chan Range
	acks   acks
	left   chan struct{} // closed by Left
	leave  sync.Once
	memory batch.Memory // of frames

	maxHeld int // bytes of frames that wait for items before them

	// the read loop only
	order   *order
	sources *sources
	auditor *auditor
	known   map[string]bool // ids of entries that were read
	count   int             // entries to ask for
	recall  bool            // a reply was lost: look at what is held
	failed  int64           // calls of the client, when that was last looked at
	look    bool            // look at the sources again
	looked  time.Time
	every   time.Duration // until they are looked at without a reason
}

// ReceiverOptions are the options of a Receiver.
type ReceiverOptions struct {
	Executor  string
	Unordered bool
	Standby   bool // the executor waits for the right to gather
	Manual    bool // items are acknowledged by their tickets, not by Delivered
	// MaxUnacked is how many may be handed out and not acknowledged by their tickets, 0: MaxManual.
	MaxUnacked    int
	MaxDeliveries int64 // of an item that is given back each time, until it is a dead letter; 0: any number
	// MaxHeld is how many bytes of frames wait at most for items before them, 0: 256 MiB. Beyond it
	// a frame stays in Redis until it is due, unless it is short.
	MaxHeld int
	Log     *slog.Logger
	// KeepPayloads leaves frames that are keys of their own in Redis, for so
	// long; what is delivered is where they are. 0: they are fetched, and go.
	KeepPayloads time.Duration
	Kept         func(payload string) // called for each of them that was acknowledged
	// Later repeats do in the background until it succeeds; what names it in logs.
	Later func(what string, do func(context.Context) error)
}

// Receive makes a Receiver the one consumer of a queue. Run must be called, it
// gives the queue up when it ends.
func Receive(ctx context.Context, c *broker.Client, queue string, o ReceiverOptions) (*Receiver, error) {
	id := uuid.NewString()
	g, err := c.Consume(ctx, id, o.Executor, queue)
	if err != nil {
		if !broker.IsRefusal(err) && !errors.Is(err, broker.ErrDenied) { // a reply may be lost: then the queue has this consumer
			maybe := broker.Gather{ID: id, Queue: broker.Queue{Name: queue}}
			o.Later("release of queue "+queue, func(ctx context.Context) error { return c.Release(ctx, maybe) })
		}
		return nil, err
	}
	r := &Receiver{
		c: c, log: o.Log, later: o.Later, g: g, keep: o.KeepPayloads, kept: o.Kept, pieces: make(chan Range, piecesHeld), left: make(chan struct{}), known: map[string]bool{},
		sources: newSources(g.Roots()), auditor: newAuditor(), count: 16, look: true, every: lookAgain,
	}
	if r.order, err = newOrder(g.Delivered(), o.Unordered); err != nil {
		o.Later("release of queue "+queue, r.release)
		return nil, fmt.Errorf("gather queue %s: %w", queue, err)
	}
	if err := r.acks.begin(g.Delivered(), g.Nacked()); err != nil {
		o.Later("release of queue "+queue, r.release)
		return nil, err
	}
	r.maxHeld = cmp.Or(o.MaxHeld, defaultMaxHeld)
	r.acks.manual.on, r.acks.manual.maxDeliveries = o.Manual, o.MaxDeliveries
	if r.acks.manual.most = o.MaxUnacked; o.MaxUnacked == 0 {
		r.acks.manual.most = MaxManual
	}
	r.reader = c.Reader(g.ID, c.Patience(readWait))
	return r, nil
}

// ErrLeft is the cause of the end of a context whose loop was left: its caller does not want the rest.
var ErrLeft = errors.New("the loop was left")

// Pieces is closed by Run when the stream has ended or failed.
func (r *Receiver) Pieces() <-chan Range { return r.pieces }

// Delivered reports that n more items were delivered, in the order of Pieces.
func (r *Receiver) Delivered(n int) { r.acks.deliver(n) }

// Spent lets the memory of a range be used again: no reference to its frame is left.
func (r *Receiver) Spent(p Range) {
	if p.tickets != nil { // its items may be given back
		r.acks.reuse(&r.memory)
		return
	}
	whole := p.From == p.Entry.First && p.To == p.Entry.End() // else others may be of the same frame
	if whole && p.Entry.Payload != "" {
		r.memory.Put(p.Entry.Frame)
	}
}

// Left says that no more will be received and that all that was delivered is
// reported. It may be called more than once.
func (r *Receiver) Left() { r.leave.Do(func() { close(r.left) }) }

// Run reads until the stream has ended and everything was reported as
// delivered, or ctx ends, or the queue is lost: then it waits for Left,
// acknowledges what was reported until then, and returns why it ended.
func (r *Receiver) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, r.reader.Interrupt)
	group.Go(func() error { return r.feed(ctx) })
	group.Go(func() error { return r.acknowledge(ctx) })
	err := group.Wait()
	stop()
	_ = r.reader.Close()
	if err != nil {
		<-r.left
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	if failed := r.leaveQueue(last); failed != nil {
		r.log.WarnContext(ctx, "queue release failed; it is repeated until it succeeds", "queue", r.g.Queue.Name, "err", failed)
		r.later("release of queue "+r.g.Queue.Name, r.leaveQueue)
	}
	r.acks.close(err)
	return err
}

// feed hands out pieces, also again, until there are none any more.
func (r *Receiver) feed(ctx context.Context) error {
	defer close(r.pieces)
	group, ctx := errgroup.WithContext(ctx)
	if r.acks.manual.on {
		group.Go(func() error { return r.redeliver(ctx) })
	}
	err := r.read(ctx)
	r.acks.end()
	if err != nil {
		group.Go(func() error { return err }) // ends the others
	}
	return group.Wait()
}

// leaveQueue writes the delivered items, and gives the queue up.
func (r *Receiver) leaveQueue(ctx context.Context) error {
	if err := r.commit(ctx); err != nil && ctx.Err() != nil { // an outage, no answer
		return err
	}
	return r.release(ctx)
}

func (r *Receiver) release(ctx context.Context) error {
	return r.c.Release(ctx, r.g)
}

// read hands out pieces until the stream has ended.
func (r *Receiver) read(ctx context.Context) error {
	entries, err := r.c.Inherit(ctx, r.g)
	for err == nil {
		if err = r.pass(ctx, entries); err != nil {
			break
		}
		if r.look || time.Since(r.looked) > r.every {
			if err = r.lookAtSources(ctx); err != nil {
				break
			}
		}
		if r.sources.ended() {
			return r.sources.cut()
		}
		if r.sources.replaced != "" {
			return r.drain(ctx)
		}
		if err = r.audit(ctx); err != nil {
			break
		}
		entries, err = r.next(ctx)
	}
	return err
}

// drain hands out what a queue holds that gets no more items, also behind gaps, and returns why the stream ends.
func (r *Receiver) drain(ctx context.Context) error {
	for {
		entries, _, err := r.reader.Read(ctx, []broker.StreamRef{{Queue: r.g.Queue.Name}}, r.count, 0)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			break
		}
		if err := r.pass(ctx, entries); err != nil {
			return err
		}
	}
	r.order.release()
	if err := r.flush(ctx); err != nil {
		return err
	}
	if r.sources.ended() {
		return r.sources.cut()
	}
	return fmt.Errorf("gather queue %s: %w: stage %s", r.g.Queue.Name, broker.ErrStageReplaced, r.sources.replaced)
}

// next waits for entries and hints.
func (r *Receiver) next(ctx context.Context) ([]broker.Entry, error) {
	if failed := r.c.Failures(); r.recall || failed != r.failed {
		entries, err := r.c.HeldBy(ctx, r.g)
		r.recall, r.failed = err != nil, failed
		r.look, r.sources.all = true, true // hints may be lost as well, and what was read last of the sources
		return entries, err
	}
	entries, hints, err := r.reader.Read(ctx, []broker.StreamRef{{Queue: r.g.Queue.Name}}, r.count, r.auditor.patience(r.c.Patience(readWait)))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, r.recover(ctx, err)
	}
	if len(entries)+len(hints) > 0 {
		r.every = lookAgain
	} else {
		r.memory.Forget() // of a thousand gathers, most idle
	}
	for _, h := range hints {
		if h.Kind == broker.HintGone && h.What == r.g.Queue.Name {
			return nil, fmt.Errorf("gather queue %s: %w: it was deleted", r.g.Queue.Name, broker.ErrQueueNotFound)
		}
		r.look = r.look || h.Kind == broker.HintEnd || h.Kind == broker.HintSource
	}
	return entries, nil
}

// recover decides whether to go on after a failed read: a new look tells
// whether the queue is still there.
func (r *Receiver) recover(ctx context.Context, err error) error {
	r.recall, r.look = true, true
	q, looked := r.c.Look(ctx, r.g.Queue.Name)
	if looked != nil {
		return looked
	}
	if q.Inc != r.g.Queue.Inc {
		return fmt.Errorf("gather queue %s: %w: another one has its name now", q.Name, broker.ErrQueueNotFound)
	}
	if errors.Is(err, broker.ErrDenied) || strings.Contains(err.Error(), "WRONGTYPE") {
		return err
	}
	if err := r.c.Mailbox(ctx, r.g.ID); err != nil {
		return err
	}
	r.log.DebugContext(ctx, "a read failed; reading again", "queue", q.Name, "err", err)
	timer := time.NewTimer(failPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil
}

// pass puts entries in order and hands out the ranges that are due.
func (r *Receiver) pass(ctx context.Context, entries []broker.Entry) error {
	for _, id := range r.acks.takeGone() { // one that is there again was acknowledged in vain
		delete(r.known, id)
	}
	fresh := entries[:0]
	for _, e := range entries {
		if !r.known[e.ID] {
			r.known[e.ID] = true
			fresh = append(fresh, e)
		}
	}
	if err := r.fetch(ctx, fresh); err != nil {
		return err
	}
	fresh, err := r.sift(ctx, fresh)
	if err != nil {
		return err
	}
	bytes := 0
	for i := range fresh {
		e := fresh[i]
		bytes += len(e.Frame)
		if r.order.put(&e) == 0 {
			r.acks.entry(e)
		}
	}
	if bytes > readBytes {
		r.count = max(1, r.count/2)
	} else if len(fresh) == r.count {
		r.count = min(2*r.count, maxEntries)
	}
	return r.flush(ctx)
}

// flush hands out the pieces that are due.
func (r *Receiver) flush(ctx context.Context) error {
	for p, ok := r.order.pop(); ok; p, ok = r.order.pop() {
		if err := r.fetchLate(ctx, p.Entry); err != nil {
			return err
		}
		if err := r.out(ctx, p); err != nil {
			return err
		}
		if s := r.sources.known[p.Entry.Source]; s != nil {
			if err := r.reach(ctx, s); err != nil {
				return err
			}
		}
	}
	for _, p := range r.order.takeCovered() {
		r.acks.cover(p)
	}
	return nil
}

// out hands out a piece, in several if need be.
func (r *Receiver) out(ctx context.Context, p Range) error {
	for p.Len() > 0 {
		head, rest, err := r.acks.track(ctx, p)
		if err != nil {
			return err
		}
		if err := r.send(ctx, head); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

func (r *Receiver) send(ctx context.Context, p Range) error {
	select {
	case r.pieces <- p:
		runtime.Gosched() // it is delivered before this goroutine writes its next request
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
