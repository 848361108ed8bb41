package consumer

// A rangeHeap is a binary heap of ranges. The first one has the lowest From. Ten thousand items
// that are retried one by one arrive as ten thousand ranges in any order.
type rangeHeap []Range

// push adds a range in O(log n).
func (h *rangeHeap) push(rg Range) {
	*h = append(*h, rg)
	all := *h
	for at := len(all) - 1; at > 0; {
		parent := (at - 1) / 2
		if all[parent].From <= all[at].From {
			return
		}
		all[parent], all[at] = all[at], all[parent]
		at = parent
	}
}

// pop removes the first range in O(log n).
func (h *rangeHeap) pop() Range {
	all := *h
	first, last := all[0], len(all)-1
	all[0], all[last] = all[last], Range{}
	if *h = all[:last]; last == 0 && cap(all) > minHeap {
		*h = nil
	}
	h.down()
	return first
}

// minHeap is the number of ranges for which an empty heap keeps memory.
const minHeap = 64

// down moves the first range, whose From has grown, to its position.
func (h *rangeHeap) down() {
	all := *h
	for at := 0; ; {
		least := at
		for child := 2*at + 1; child <= 2*at+2 && child < len(all); child++ {
			if all[child].From < all[least].From {
				least = child
			}
		}
		if least == at {
			return
		}
		all[at], all[least] = all[least], all[at]
		at = least
	}
}
