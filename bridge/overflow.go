package bridge

import "fmt"

// A Policy is what Scatter does with items for which there is no room, since
// MaxSize, MaxBytes or MaxInFlight is reached.
type Policy string

// The policies.
const (
	// Block does not read the channel until there is room. It is the policy if
	// none is chosen.
	Block Policy = "block"
	// DropNewest drops what comes while there is no room.
	DropNewest Policy = "drop-newest"
	// DropOldest drops what nobody has read from the queue yet, the oldest first,
	// to make room for what comes. Where all was read, it drops what comes.
	DropOldest Policy = "drop-oldest"
	// Fail gives the scatter up, as if its context had ended: behind what is
	// stored, the stream ends with an error (executor.ErrCut), and the queue's Err
	// is executor.ErrFull.
	Fail Policy = "fail"
)

// Overflow chooses the policy. What is dropped keeps its place in the stream:
// Gather has an *executor.ItemError there, which is an executor.ErrDropped, and
// executor.Queue.Dropped counts it. Items are dropped by the batch in which they
// travel.
func Overflow(p Policy) ScatterOption {
	return scatterOption(func(o *options) error {
		switch p {
		case Block, DropNewest, DropOldest, Fail:
			o.overflow = p
			return nil
		}
		return fmt.Errorf("bridge: Overflow(%q): it must be one of %s, %s, %s and %s", p, Block, DropNewest, DropOldest, Fail)
	})
}
