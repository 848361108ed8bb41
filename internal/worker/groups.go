package worker

import (
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A group is the items of one offset: the outputs of a function that yields several for an input. A slot
// runs a group whole, since its remainder would have no offsets of its own. Groups that are too large for
// that are opened: each becomes a child of its source, see broker.Child, whose items are divided and
// retried like others. The completion that opens a group replaces the entry, so that the group is opened
// once.

// Bounds of the parts of a completion that opens groups.
const (
	maxOpened     = 64  // cuts of an entry whose groups are opened
	maxGroupParts = 32  // parts of a large group of outputs
	maxParts      = 256 // parts of all large groups, if each has one at least
)

// groupLimit returns the largest number of items of a group that a slot runs whole: 1 until their cost is
// known.
func (r *route) groupLimit() int {
	switch {
	case r.function == nil:
		return batch.MaxItems
	case r.stage.Retries > 0:
		return 1 // each item is retried by itself
	case r.batched():
		return min(r.stage.Limits.Batch, batch.MaxGroup)
	case r.runsBatches():
		_, most, _ := r.batchSize()
		return min(most, batch.MaxGroup)
	}
	cost := r.cost()
	if cost == 0 {
		return 1
	}
	return min(timeSliceItems(1, cost), batch.MaxGroup)
}

// groupLimit is that of the route, or 1 for an entry that workers have died with: one of its items may be
// the cause.
func (j job) groupLimit() int {
	if j.entry.Crashes >= broker.Suspicious {
		return 1
	}
	return j.route.groupLimit()
}

// open returns the items of a group as those of a child.
func open(b batch.Batch) (batch.Batch, error) {
	n, err := b.Items()
	if err != nil {
		return b, err
	}
	return b.Open(broker.Child(b.Source, b.First, n))
}

// openGroups returns the completion of an entry whose groups of more than so many items are opened. It
// does not run.
func openGroups(j job, limit int) completion {
	parts, err := j.entry.Groups(limit, maxOpened)
	if err != nil {
		return malformed(j, err)
	}
	var all []batch.Batch
	for _, part := range parts {
		if part.N > 1 || part.LargestGroup() <= limit {
			all = append(all, part)
			continue
		}
		group, err := open(part)
		if err != nil {
			return malformed(j, err)
		}
		divided, err := pieces(group, j.route.share(group.N))
		if err != nil {
			return malformed(j, err)
		}
		all = append(all, divided...)
	}
	return requeue(j.route, j.entry, all...)
}

// outputs returns the batches of a result for an out-queue with a bound, 0 for none. Large groups are
// opened, and divided among the workers.
func outputs(out batch.Batch, bound int) (all []batch.Batch, err error) {
	if bound == 0 && !batch.Counted(out.Frame) {
		return []batch.Batch{out}, nil
	}
	limit := batch.MaxGroup
	if bound > 0 {
		limit = min(limit, bound)
	}
	parts, err := out.Groups(limit, out.N)
	if err != nil {
		return nil, err
	}
	most := max(1, min(maxGroupParts, maxParts/len(parts)))
	for _, part := range parts {
		size := bound
		if n := part.LargestGroup(); n > limit {
			if part, err = open(part); err != nil {
				return nil, err
			}
			divisions := min(max(n/batch.MaxGroup, 1), most)
			if size = (n + divisions - 1) / divisions; bound > 0 {
				size = min(size, max(bound, n/maxOuts))
			}
		}
		if size > 0 {
			cut, err := part.Cut(size)
			if err != nil {
				return nil, err
			}
			all = append(all, cut...)
		} else {
			all = append(all, part)
		}
	}
	return all, nil
}

// fits returns the number of offsets of the step before the first group of more than so many items.
func (s step) fits(items int) int {
	if s.Held != nil {
		return min(s.N, s.Held.OffsetsBefore(items))
	}
	return batch.Batch{N: s.N, Frame: s.Frame}.OffsetsBefore(items)
}

// A growth is the recent items and their outputs, behind all fused stages.
type growth struct{ items, outputs float64 }

// grownItems is about the number of items that the average covers.
const grownItems = 1024

// grow records the outputs of the last one of some steps.
func (r *route) grow(all []step) {
	last := all[len(all)-1]
	if last.N == 0 {
		return
	}
	items := float64(all[0].Items) * float64(last.N) / float64(all[0].N)
	r.mu.Lock()
	defer r.mu.Unlock()
	g := &r.growth
	g.items, g.outputs = g.items+items, g.outputs+float64(last.itemsIn(0, last.N))
	for g.items > grownItems {
		g.items, g.outputs = g.items/2, g.outputs/2
	}
}

// grown returns the average number of outputs of an item, 0 if it is unknown.
func (r *route) grown() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.growth.items == 0 {
		return 0
	}
	return r.growth.outputs / r.growth.items
}
