package worker

import (
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// Bounds of what may replace one entry: each part costs Redis some microseconds in a script,
// during which it does nothing else.
const (
	maxLeaves         = 32        // pieces of a batch that slots run as they are
	maxTails          = 32        // pieces of the same batch that the next slots cut again
	tailBytes         = 256 << 10 // of a tail, about, as it is written anew with each cut
	maxOuts           = 64        // parts of a result that is cut for a bounded out-queue
	maxTogether       = 1024      // items of a call that is made for a batch and may be tried again
	backlogTimeSlices = 8         // time slices that a slot may work on a batch if there is a backlog
	dearTimeSlices    = 8         // times a batch has to be the work that a slot may do to be cut before it is run
)

// pieces cuts a batch that is too much for one slot: leaves of some items, which slots can
// run, and then few tails of all others. The items stay in order, so that an ordered gather
// gets the first ones first. A slot that takes a tail cuts it again.
func pieces(b batch.Batch, leaf int) ([]batch.Batch, error) {
	var cuts []int
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

// timeSliceItems is how many items are the work of so many time slices.
func timeSliceItems(spells int, cost time.Duration) int {
	return int(max(1, time.Duration(spells)*timeSlice/max(cost, 1)))
}

// timeSlices is how many timeSlices a slot may work on a batch, if its items are dear: many if no other
// slot waits for work.
func (r *route) timeSlices() int {
	if r.backlog.Load() {
		return backlogTimeSlices
	}
	return 1
}

// share is how many of n items of a batch a slot runs. If it is less than n, the batch is
// cut before, so that other slots get their share at once.
func (r *route) share(n int) int {
	share := n
	if room := int(r.room.Load()); room > 0 {
		share = min(share, room)
	}
	if r.whole() {
		_, most, _ := r.batchSize()
		share = min(share, most)
	}
	spells := r.timeSlices()
	if cost := r.cost(); !r.whole() && cost > 0 && n > int(dearTimeSlices*time.Duration(spells)*timeSlice/cost) {
		share = min(share, timeSliceItems(spells, cost))
	}
	return share
}

// divided is a batch that was cut and not run.
func divided(j job, leaf int) completion {
	parts, err := pieces(j.entry.Batch, leaf)
	if err != nil {
		return unreadable(j, err)
	}
	return requeue(j.route, j.entry, parts...)
}
