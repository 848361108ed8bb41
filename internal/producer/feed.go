package producer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// An OverflowPolicy is that of package broker.
type OverflowPolicy = broker.OverflowPolicy

// A Feeding says what source to make, and of which queue.
type Feeding struct {
	Name     string // of a queue that stays, "" for one of the executor's own
	Max      int64  // items that may wait, 0 for any number
	MaxB     int64  // bytes that may wait, 0 for the default
	Window   int64  // items between here and the gathers
	Seal     int    // 1: no other source joins
	Overflow OverflowPolicy
	Source   string // name of a durable source, "" for one that goes with the executor
	Keep     bool   // each item is kept until it is delivered
}

// Room returns the bound of a batch in items, 0 for none, if the queue takes so many: with
// OverflowDropOldest also what the window takes, since a batch that is larger would be dropped as a whole.
func (f Feeding) Room(queue int64) int64 {
	window := max(f.Window, -f.Window)
	switch {
	case f.Overflow != broker.OverflowDropOldest || window == 0:
		return queue
	case queue == 0:
		return window
	}
	return min(queue, window)
}

// A Feed is a source that one goroutine adds to.
type Feed struct {
	*Sender
	*Batcher
	keeper Keeper
}

// A Keeper is the part of an executor that a feed belongs to.
type Keeper interface {
	// Alone takes the feed out of the executor's Flush: its callers know which items are stored.
	Alone()
	// Finished notes that the end of the source is stored, at an offset.
	Finished(at int64)
	// Ended lets go of the feed, whose source has ended or will be ended; err is how it went.
	Ended(ctx context.Context, err error)
}

// NewFeed makes a Feed of its two halves.
func NewFeed(s *Sender, b *Batcher, k Keeper) *Feed { return &Feed{Sender: s, Batcher: b, keeper: k} }

// Finish ends the source at an offset.
func (f *Feed) Finish(ctx context.Context, at int64) error {
	err := f.Sender.Finish(ctx, at)
	if err == nil {
		f.keeper.Finished(at)
	}
	return err
}

// Alone is that of the Keeper.
func (f *Feed) Alone() { f.keeper.Alone() }

// Ended ends the feed; err is how it went. An error ends the source where it stands, but for a durable one, which waits
// for its successor.
func (f *Feed) Ended(ctx context.Context, err error) { f.keeper.Ended(ctx, err) }
