package producer

import (
	"context"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// Options say which source to make, and of which queue.
type Options struct {
	Queue      string // name of a queue that stays, "" for a new queue that goes with its executor
	Bounds     broker.Bounds
	Window     broker.Window
	Overflow   broker.OverflowPolicy
	Seal       bool          // no other source can join the queue
	Source     string        // name of a durable source, "" for a source that goes with its executor
	Expire     time.Duration // of the queue, 0: as it is, see broker.Queue.Expires
	Private    string        // last queue of the flow, in whose place a queue of the source's own gets its results; "": none
	KeepInputs bool          // Redis keeps each item until its result is delivered
}

// BatchBounds returns the bounds of a batch for a queue with these bounds. With OverflowDropOldest
// a batch does not exceed the window either, since a larger batch would be dropped as a whole.
func (o Options) BatchBounds(queue broker.Bounds) broker.Bounds {
	if window := o.Window.Items; o.Overflow == broker.OverflowDropOldest && window > 0 && (queue.Max == 0 || window < queue.Max) {
		queue.Max = window
	}
	return queue
}

// A Feed is a source that one goroutine adds to.
type Feed struct {
	*Sender
	*Batcher
	keeper Keeper
}

// A Keeper is the part of an executor that a Feed belongs to.
type Keeper interface {
	// ExcludeFromFlush lets the executor's Flush ignore the Feed.
	ExcludeFromFlush()
	// SourceFinished notes that the end of the source is stored, at an offset.
	SourceFinished(end int64)
	// Release ends the membership of the Feed; err is the reason, nil if the source has ended
	// normally.
	Release(ctx context.Context, err error)
}

// NewFeed makes a Feed of its two halves.
func NewFeed(s *Sender, b *Batcher, k Keeper) *Feed {
	s.waits.stored.Store(b.Next())
	return &Feed{Sender: s, Batcher: b, keeper: k}
}

// Finish ends the source behind its last item.
func (f *Feed) Finish(ctx context.Context) error {
	end := f.Next()
	err := f.Sender.Finish(ctx, end)
	if err == nil {
		f.keeper.SourceFinished(end)
	}
	return err
}

// ExcludeFromFlush lets the executor's Flush ignore the feed: its callers know which items are
// stored.
func (f *Feed) ExcludeFromFlush() { f.keeper.ExcludeFromFlush() }

// Release ends the feed; err is the reason, nil if the source has ended normally. An error abandons
// the source: its stream ends behind the stored items. A durable source waits for its successor
// instead.
func (f *Feed) Release(ctx context.Context, err error) { f.keeper.Release(ctx, err) }
