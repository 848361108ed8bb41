package worker

import (
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// Bounds of the parts that replace one entry: each costs Redis some microseconds in a script, which
// blocks all other clients.
const (
	maxLeaves         = 32        // pieces of a batch that slots run as they are
	maxTails          = 32        // pieces of the same batch that the next slots cut again
	tailBytes         = 256 << 10 // about the size of a tail, which each cut writes again
	maxOuts           = 64        // parts of a result that is cut for a bounded out-queue
	maxTogether       = 1024      // items of a call of a batch function with retries
	backlogTimeSlices = 8         // time slices that a slot may work on a batch if there is a backlog
	dearTimeSlices    = 8         // factor of the work for a slot above which a batch is cut before it runs
)

// pieces cuts a batch that is too much work for one slot: leaves of leaf items, and then a few
// tails with all other items. The items stay in order, so that an ordered gather gets the first
// items first. A slot that takes a tail cuts it again.
func pieces(b batch.Batch, leaf int) ([]batch.Batch, error) {
	var cuts []int
	if items, err := b.Items(); err != nil {
		return nil, err
	} else if items > b.N { // leaf counts items
		leaf = max(1, int(int64(leaf)*int64(b.N)/int64(items)))
	}
	for at := leaf; at < b.N && len(cuts) < maxLeaves; at += leaf {
		cuts = append(cuts, at)
	}
	if len(cuts) == maxLeaves {
		at := cuts[maxLeaves-1]
		left := b.N - at
		tails := min(1+len(b.Frame)/b.N*left/tailBytes, maxTails)
		step := (left + tails - 1) / tails
		for at += step; at < b.N; at += step {
			cuts = append(cuts, at)
		}
	}
	return b.Parts(cuts)
}

// timeSliceItems returns the number of items that take so many time slices.
func timeSliceItems(spells int, cost time.Duration) int {
	return int(max(1, time.Duration(spells)*timeSlice/max(cost, 1)))
}

// timeSlices returns the time slices that a slot may work on a batch: several if there is a
// backlog, so that no slot waits for work.
func (r *route) timeSlices() int {
	if r.backlog.Load() {
		return backlogTimeSlices
	}
	return 1
}

// share returns how many of n items of a batch a slot runs. If it is less than n, the batch is cut
// first, so that other slots get their part at once.
func (r *route) share(n int) int {
	share := n
	if r.rated() || r.batched() { // the job says how the entry is cut
		return share
	}
	if room := int(r.maxItems.Load()); room > 0 {
		share = min(share, room)
	}
	if r.runsBatches() {
		_, most, _ := r.batchSize()
		share = min(share, most)
	}
	spells := r.timeSlices()
	if cost := r.cost(); !r.runsBatches() && cost > 0 && n > int(dearTimeSlices*time.Duration(spells)*timeSlice/cost) {
		share = min(share, timeSliceItems(spells, cost))
	}
	return share
}

// divide returns the completion of an entry that is cut into parts of about leaf items and does not run.
func divide(j job, leaf int) completion {
	parts, err := pieces(j.entry.Batch, leaf)
	if err != nil {
		return malformed(j, err)
	}
	return requeue(j.route, j.entry, parts...)
}
