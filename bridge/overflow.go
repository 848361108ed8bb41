package bridge

import "fmt"

// An OverflowPolicy is what Scatter does with items for which there is no room, since
// MaxSize, MaxBytes or MaxInFlight is reached.
type OverflowPolicy string

// The policies.
const (
	// OverflowBlock does not read the channel until there is room. It is the policy if
	// none is chosen.
	OverflowBlock OverflowPolicy = "block"
	// OverflowDropNewest drops new items while there is no room.
	OverflowDropNewest OverflowPolicy = "drop-newest"
	// OverflowDropOldest drops items of the queue that no worker has read yet, the oldest first,
	// to make room for new ones. If all were read, it drops new items.
	OverflowDropOldest OverflowPolicy = "drop-oldest"
	// OverflowFail aborts the scatter, as if its context had ended: behind the items that are
	// stored, the stream ends with an error (executor.ErrTruncated), and the queue's Err
	// is executor.ErrFull.
	OverflowFail OverflowPolicy = "fail"
)

// Overflow chooses the policy. A dropped item keeps its place in the stream:
// Gather has an *executor.ItemError there, which is an executor.ErrDropped, and
// executor.Queue.Dropped counts it. Items are dropped by the batch in which they
// travel.
func Overflow(p OverflowPolicy) ScatterOption {
	return scatterOption(func(o *options) error {
		switch p {
		case OverflowBlock, OverflowDropNewest, OverflowDropOldest, OverflowFail:
			o.overflow = p
			return nil
		}
		return fmt.Errorf("bridge: Overflow(%q): it must be one of %s, %s, %s and %s", p, OverflowBlock, OverflowDropNewest, OverflowDropOldest, OverflowFail)
	})
}
