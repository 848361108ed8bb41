package batch

import (
	"fmt"
	"math"
)

// MaxItem is the default limit for the encoded size of an item, in bytes. A larger item becomes a
// failure where it enters.
const MaxItem = 64 << 20

// MaxBytes is about the largest size of a batch, in bytes. The item that reaches it closes the
// batch, so only a single item can exceed it much.
const MaxBytes = 8 << 20

// Short is the largest size of a short item in a frame, in bytes: a header of one byte and a text
// such as that of -1.7976931348623157e+308.
const Short = 1 + 24

// MaxItems is the largest number of items of a valid batch: more than a frame of MaxBytes can hold,
// but few enough that a forged number costs little.
const MaxItems = 1 << 24

// A Batch holds the items at the offsets [First, First+N) of one source: one for each offset, or as
// many as the counts of the frame tell. If Lost is set, there is no frame, and every item is that
// failure, one for each offset.
type Batch struct {
	Source string
	First  int64
	N      int
	Frame  []byte
	Lost   *Failure
}

// End returns the offset after the last one.
func (b Batch) End() int64 { return b.First + int64(b.N) }

// CheckRange checks that First and N are valid.
func (b Batch) CheckRange() error {
	if b.N < 1 || b.N > MaxItems || b.First < 0 || b.First > math.MaxInt64-int64(b.N) {
		return fmt.Errorf("%w: %d items at offset %d", ErrFrame, b.N, b.First)
	}
	return nil
}

// Check reads the frame once and checks that it holds the items of N offsets.
func (b Batch) Check() error {
	if err := b.CheckRange(); err != nil || b.Lost != nil {
		return err
	}
	if Counted(b.Frame) {
		return b.checkCounts()
	}
	r := Read(b.Frame)
	n := r.skipShort()
	for _, _, ok := r.Next(); ok; _, _, ok = r.Next() {
		n += 1 + r.skipShort()
	}
	if r.Err() != nil || n != b.N {
		return r.Short(n, b.N)
	}
	return nil
}

// Split cuts the batch before its k-th offset, 0 < k < N. Join is its inverse. It copies the tail.
func (b Batch) Split(k int) (head, tail Batch, err error) {
	if k <= 0 || k >= b.N {
		return b, Batch{}, fmt.Errorf("%w: split at %d of %d items", ErrFrame, k, b.N)
	}
	if b.Lost == nil && Counted(b.Frame) {
		parts, err := b.countedParts([]int{k})
		if err != nil {
			return b, Batch{}, err
		}
		return parts[0], parts[1], nil
	}
	head, tail = b, b
	head.N, tail.N, tail.First = k, b.N-k, b.First+int64(k)
	if b.Lost != nil {
		return head, tail, nil
	}
	r := Read(b.Frame)
	for range k {
		if _, _, ok := r.Next(); !ok {
			return b, Batch{}, fmt.Errorf("%w: it ends before item %d", ErrFrame, k)
		}
	}
	cut := len(b.Frame) - len(r.Rest())
	head.Frame = b.Frame[:cut:cut]
	tail.Frame = append([]byte{Version}, b.Frame[cut:]...)
	return head, tail, nil
}

// Parts splits the batch before each offset of cuts, which are ascending and between 0 and N. It
// reads the frame once.
func (b Batch) Parts(cuts []int) ([]Batch, error) {
	if b.Lost == nil && Counted(b.Frame) {
		return b.countedParts(cuts)
	}
	parts := make([]Batch, 0, len(cuts)+1)
	r, at := Read(b.Frame), 0
	begin := b.Frame
	for _, cut := range append(cuts[:len(cuts):len(cuts)], b.N) {
		if cut <= at || cut > b.N {
			return nil, fmt.Errorf("%w: cut at %d, behind %d of %d items", ErrFrame, cut, at, b.N)
		}
		part := Batch{Source: b.Source, First: b.First + int64(at), N: cut - at, Lost: b.Lost}
		for ; b.Lost == nil && at < cut; at++ {
			if _, _, ok := r.Next(); !ok {
				return nil, fmt.Errorf("%w: it ends before item %d", ErrFrame, cut)
			}
		}
		if b.Lost == nil {
			size := len(begin) - len(r.Rest())
			part.Frame, begin = begin[:size:size], r.Rest()
			if part.First > b.First {
				part.Frame = append([]byte{Version}, part.Frame...)
			}
		}
		parts, at = append(parts, part), cut
	}
	return parts, nil
}

// Cut splits the batch into parts of at most size items. The items of one offset stay together.
func (b Batch) Cut(size int) ([]Batch, error) {
	if size < 1 {
		return nil, fmt.Errorf("%w: cut into parts of %d items", ErrFrame, size)
	}
	if b.Lost == nil && Counted(b.Frame) {
		return b.cutCounted(size)
	}
	if b.N <= size {
		return []Batch{b}, nil
	}
	// Split in halves, since every Split copies its tail.
	head, tail, err := b.Split((b.N/size + 1) / 2 * size)
	if err != nil {
		return nil, err
	}
	parts, err := head.Cut(size)
	if err != nil {
		return nil, err
	}
	rest, err := tail.Cut(size)
	return append(parts, rest...), err
}

// Join is the inverse of Parts: each batch must begin where the one before it ends. The new frame
// is allocated from memory, which may be nil. The frame of a single batch is not copied.
func Join(parts []Batch, memory *Memory) (Batch, error) {
	end := parts[0].End()
	for _, part := range parts[1:] {
		if part.Source != parts[0].Source || part.First != end {
			return Batch{}, fmt.Errorf("%w: the batch before %d and [%d,%d) of %q do not join", ErrFrame, end, part.First, part.End(), part.Source)
		}
		end = part.End()
	}
	return Concat(parts, memory)
}

// Concat returns a batch with the items of batches of any ranges. Its range begins with that of the first
// one. The frame is made in memory.
func Concat(parts []Batch, memory *Memory) (Batch, error) {
	joined := parts[0]
	size, counted := 1, false
	for i, part := range parts {
		counted = counted || Counted(part.Frame)
		if part.Lost != nil || len(part.Frame) == 0 || part.Frame[0] != Version && !Counted(part.Frame) {
			return Batch{}, fmt.Errorf("%w: [%d,%d) of %q does not join others", ErrFrame, part.First, part.End(), part.Source)
		}
		size += len(part.Frame) - 1
		if i > 0 {
			joined.N += part.N
		}
	}
	if len(parts) == 1 {
		return joined, nil
	}
	if counted {
		return joinCounted(joined, parts, memory)
	}
	frame := append(memory.Get(size)[:0], joined.Frame...)
	for _, part := range parts[1:] {
		frame = append(frame, part.Frame[1:]...)
	}
	joined.Frame = frame
	return joined, nil
}
