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
	// OverflowDropNewest drops what comes while there is no room.
	OverflowDropNewest OverflowPolicy = "drop-newest"
	// OverflowDropOldest drops what nobody has read from the queue yet, the oldest first,
	// to make room for what comes. Where all was read, it drops what comes.
	OverflowDropOldest OverflowPolicy = "drop-oldest"
	// OverflowFail gives the scatter up, as if its context had ended: behind what is
	// stored, the stream ends with an error (executor.ErrTruncated), and the queue's Err
	// is executor.ErrFull.
	OverflowFail OverflowPolicy = "fail"
)

// Overflow chooses the policy. What is dropped keeps its place in the stream:
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
