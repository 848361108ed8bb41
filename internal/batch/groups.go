package batch

import "fmt"

// MaxGroup is the number of items of one offset above which they become a batch of their own, see Open.
const MaxGroup = 64

// LargestGroup returns the largest number of items of one offset, at least 1. It is 1 for a malformed
// frame.
func (b Batch) LargestGroup() (items int) {
	items = 1
	if b.Lost == nil && Counted(b.Frame) {
		runs, _ := b.readRuns()
		for r, ok := runs.next(); ok; r, ok = runs.next() {
			items = max(items, r.each)
		}
		if runs.err != nil {
			return 1
		}
	}
	return items
}

// OffsetsBefore returns the number of offsets before the first one with more than so many items. The frame
// has been checked.
func (b Batch) OffsetsBefore(items int) (n int) {
	if b.Lost != nil || !Counted(b.Frame) {
		return b.N
	}
	runs, _ := b.readRuns()
	for r, ok := runs.next(); ok && r.each <= items; r, ok = runs.next() {
		n += r.offsets
	}
	if runs.err != nil {
		return b.N
	}
	return n
}

// Head returns the first offsets of the batch that have at most so many items together, and the number of
// these items. It has no offset if the first one has more.
func (b Batch) Head(most int) (head Batch, items int, err error) {
	offsets := min(b.N, most)
	if items = offsets; b.Lost == nil && Counted(b.Frame) {
		runs, _, err := b.counts()
		if err != nil {
			return Batch{}, 0, err
		}
		offsets, items = 0, 0
		for _, r := range runs {
			fits := r.offsets
			if r.each > 0 {
				fits = min(fits, (most-items)/r.each)
			}
			if offsets, items = offsets+fits, items+fits*r.each; fits < r.offsets {
				break
			}
		}
	}
	switch offsets {
	case 0:
		return Batch{Source: b.Source, First: b.First}, 0, nil
	case b.N:
		return b, items, nil
	}
	head, _, err = b.Split(offsets)
	return head, items, err
}

// Groups splits the batch before and behind each offset with more than so many items, at most most times.
func (b Batch) Groups(items, most int) ([]Batch, error) {
	if b.Lost != nil || !Counted(b.Frame) {
		return []Batch{b}, nil
	}
	runs, _ := b.readRuns()
	var cuts []int
	at := 0
	for r, ok := runs.next(); ok; r, ok = runs.next() {
		if r.each > items {
			if last := len(cuts) - 1; at > 0 && (last < 0 || cuts[last] < at) {
				cuts = append(cuts, at)
			}
			if at+1 < b.N {
				cuts = append(cuts, at+1)
			}
		}
		if at += r.offsets; len(cuts) >= most {
			break
		}
	}
	if cuts == nil || runs.err != nil {
		return []Batch{b}, runs.err
	}
	return b.countedParts(cuts)
}

// Open returns the items of the only offset of a batch with counts as a batch of another source, in which
// each has an offset, from 0 on.
func (b Batch) Open(source string) (Batch, error) {
	runs, items, err := b.counts()
	if err != nil {
		return Batch{}, err
	}
	if b.N != 1 || runs[0].each < 2 {
		return Batch{}, fmt.Errorf("%w: %d offsets are no group", ErrFrame, b.N)
	}
	return Batch{Source: source, N: runs[0].each, Frame: append([]byte{Version}, items...)}, nil
}

// cutCounted is Cut for a frame with counts.
func (b Batch) cutCounted(size int) ([]Batch, error) {
	runs, _, err := b.counts()
	if err != nil {
		return nil, err
	}
	var cuts []int
	at, items := 0, 0
	for _, r := range runs {
		for left := r.offsets; left > 0; {
			fits := left
			if r.each > 0 {
				fits = min(left, (size-items)/r.each)
			}
			if at, items, left = at+fits, items+fits*r.each, left-fits; left == 0 {
				break
			}
			if items == 0 { // the offset alone has more items
				at, left = at+1, left-1
			}
			if items = 0; at < b.N {
				cuts = append(cuts, at)
			}
		}
	}
	return b.countedParts(cuts)
}
