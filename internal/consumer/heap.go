package consumer

// A pieceHeap is a binary heap of pieces: the first one has the lowest From. Ten thousand items
// that are retried one by one come as so many pieces in any order.
type pieceHeap []Range

// push adds a piece in O(log n).
func (h *pieceHeap) push(p Range) {
	*h = append(*h, p)
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

// pop removes the first piece in O(log n).
func (h *pieceHeap) pop() Range {
	all := *h
	first, last := all[0], len(all)-1
	all[0], all[last] = all[last], Range{}
	if *h = all[:last]; last == 0 && cap(all) > keptPieces {
		*h = nil
	}
	h.down()
	return first
}

// keptPieces is how many pieces an empty heap keeps memory for.
const keptPieces = 64

// down moves the first piece, whose From has grown, to its place.
func (h *pieceHeap) down() {
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
