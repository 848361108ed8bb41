package batch

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// VersionCounts is the first byte of a frame with counts: the items of a frame of Version, and a
// trailer that tells how many of them each offset has. The trailer is tokens and the number of their
// bytes, 4 bytes big-endian. A token is the unsigned varint of 4 x a number plus its kind. A frame
// with one item for each offset has no trailer, so that equal batches have equal bytes.
const VersionCounts = 2

// The kinds of tokens. Each stands for offsets behind those of the token before it.
const (
	tokenOne   = 0 // so many offsets with one item each
	tokenNone  = 1 // so many offsets without an item
	tokenGroup = 2 // one offset with so many items, at least 2
)

// sizeBytes is the number of bytes that hold the size of the tokens.
const sizeBytes = 4

// A run is adjacent offsets with the same number of items each. Those with several items are runs of
// their own.
type run struct{ offsets, each int }

// Counted reports whether a frame has counts.
func Counted(frame []byte) bool { return len(frame) > 0 && frame[0] == VersionCounts }

// Items returns the number of items in the frame: N if the frame has no counts. It does not read the
// items.
func (b Batch) Items() (int, error) { return b.ItemsIn(0, b.N) }

// ItemsIn returns the number of items at the offsets from the from-th to before the to-th.
func (b Batch) ItemsIn(from, to int) (items int, err error) {
	if b.Lost != nil || !Counted(b.Frame) {
		return to - from, nil
	}
	runs, _ := b.readRuns()
	at := 0
	for r, ok := runs.next(); ok; r, ok = runs.next() {
		items += max(0, min(at+r.offsets, to)-max(at, from)) * r.each
		at += r.offsets
	}
	return items, runs.err
}

// AppendPositions appends the position of each item: the number of offsets before that of the item.
// The frame has counts.
func (b Batch) AppendPositions(dst []int32) ([]int32, error) {
	runs, _ := b.readRuns()
	at := int32(0)
	for r, ok := runs.next(); ok; r, ok = runs.next() {
		for range r.offsets {
			for range r.each {
				dst = append(dst, at)
			}
			at++
		}
	}
	return dst, runs.err
}

// AppendCounts makes a frame of Version one of n offsets. positions are those of its items from the
// from-th offset on. A frame with one item for each offset stays as it is.
func AppendCounts(frame []byte, positions []int32, from, n int) []byte {
	if len(frame) == 0 {
		frame = append(frame, Version)
	}
	begin, at, size := len(frame), int32(from), len(positions)
	for i := 0; i < size; {
		if gap := positions[i] - at; gap > 0 {
			frame, at = appendToken(frame, int(gap), tokenNone), positions[i]
		}
		j := i
		for j < size && positions[j] == at && (j+1 == size || positions[j+1] != at) {
			j, at = j+1, at+1
		}
		if j > i {
			frame, i = appendToken(frame, j-i, tokenOne), j
			continue
		}
		for j < size && positions[j] == at {
			j++
		}
		frame, at, i = appendToken(frame, j-i, tokenGroup), at+1, j
	}
	if left := from + n - int(at); left > 0 {
		frame = appendToken(frame, left, tokenNone)
	}
	return closeCounts(frame, begin, size == n && isEach(positions, from))
}

// isEach reports whether the items have one offset each, without a gap.
func isEach(positions []int32, from int) bool {
	n := len(positions)
	for i, at := range positions {
		if at != int32(from+i) {
			return false
		}
	}
	return n > 0
}

// closeCounts ends the tokens that begin at an index of a frame. If each offset has one item, it
// removes them.
func closeCounts(frame []byte, begin int, each bool) []byte { //nolint:revive // a property of the tokens
	if each {
		return frame[:begin]
	}
	frame[0] = VersionCounts
	return binary.BigEndian.AppendUint32(frame, uint32(len(frame)-begin))
}

func appendToken(dst []byte, n, kind int) []byte {
	return binary.AppendUvarint(dst, uint64(n)<<2|uint64(kind))
}

// appendRuns makes a frame of Version one with the counts of runs, which it merges.
func appendRuns(frame []byte, runs []run) []byte {
	merged := runs[:0:0]
	for _, r := range runs {
		if last := len(merged) - 1; last >= 0 && merged[last].each == r.each && r.each < 2 {
			merged[last].offsets += r.offsets
		} else {
			merged = append(merged, r)
		}
	}
	begin := len(frame)
	for _, r := range merged {
		switch r.each {
		case 0:
			frame = appendToken(frame, r.offsets, tokenNone)
		case 1:
			frame = appendToken(frame, r.offsets, tokenOne)
		default:
			frame = appendToken(frame, r.each, tokenGroup)
		}
	}
	return closeCounts(frame, begin, len(merged) == 1 && merged[0].each == 1)
}

// cutCounts returns the bytes of the items of a frame with counts, and its tokens.
func cutCounts(frame []byte) (items, tokens []byte, err error) {
	end := len(frame) - sizeBytes
	if end < 1 {
		return nil, nil, fmt.Errorf("%w: it has no room for its counts", ErrFrame)
	}
	size := binary.BigEndian.Uint32(frame[end:])
	if int64(size) > int64(end-1) {
		return nil, nil, fmt.Errorf("%w: its counts are longer than the frame", ErrFrame)
	}
	begin := end - int(size)
	return frame[1:begin:begin], frame[begin:end], nil
}

// counts returns the runs of a frame with counts, and the bytes of its items. The runs have N offsets.
func (b Batch) counts() (runs []run, items []byte, err error) {
	reader, items := b.readRuns()
	runs = make([]run, 0, len(reader.tokens))
	for r, ok := reader.next(); ok; r, ok = reader.next() {
		runs = append(runs, r)
	}
	if reader.err != nil {
		return nil, nil, reader.err
	}
	return runs, items, nil
}

// A runReader reads the runs of a frame with counts.
type runReader struct {
	tokens   []byte
	n, total int // offsets and items of the runs so far
	of       int // offsets of the frame
	last     run
	err      error
}

// readRuns returns a reader of the runs of a frame with counts, and the bytes of its items.
func (b Batch) readRuns() (r runReader, items []byte) {
	items, tokens, err := cutCounts(b.Frame)
	return runReader{tokens: tokens, of: b.N, err: err}, items
}

// next returns the next run. ok is false behind the last one, and if the counts are malformed, which err
// tells.
func (r *runReader) next() (next run, ok bool) {
	if r.err != nil {
		return run{}, false
	}
	if len(r.tokens) == 0 {
		if r.n != r.of || r.last == (run{r.of, 1}) {
			r.err = fmt.Errorf("%w: its counts are not those of %d offsets", ErrFrame, r.of)
		}
		return run{}, false
	}
	next, size, err := nextRun(r.tokens)
	merges := r.n > 0 && r.last.each == next.each && next.each < 2
	r.n, r.total, r.last, r.tokens = r.n+next.offsets, r.total+next.offsets*next.each, next, r.tokens[size:]
	switch {
	case err != nil:
		r.err = err
	case merges:
		r.err = fmt.Errorf("%w: two of its counts are one", ErrFrame)
	case r.n > r.of || r.total > MaxItems:
		r.err = fmt.Errorf("%w: its counts are not those of %d offsets", ErrFrame, r.of)
	}
	return next, r.err == nil
}

// nextRun reads a token.
func nextRun(tokens []byte) (r run, size int, err error) {
	token, k := binary.Uvarint(tokens)
	n, kind := token>>2, token&3
	if k <= 0 || n == 0 || n > MaxItems || k > 1 && tokens[k-1] == 0 {
		return run{}, 0, fmt.Errorf("%w: a count is no number", ErrFrame)
	}
	switch {
	case kind == tokenOne:
		return run{int(n), 1}, k, nil
	case kind == tokenNone:
		return run{int(n), 0}, k, nil
	case kind == tokenGroup && n > 1:
		return run{1, int(n)}, k, nil
	}
	return run{}, 0, fmt.Errorf("%w: a count of kind %d with %d items", ErrFrame, kind, n)
}

func itemsOf(runs []run) (items int) {
	for _, r := range runs {
		items += r.offsets * r.each
	}
	return items
}

// cutRuns cuts runs behind n offsets.
func cutRuns(runs []run, n int) (head, tail []run) {
	for i, r := range runs {
		if n < r.offsets {
			tail = slices.Clone(runs[i:])
			tail[0].offsets -= n
			if head = runs[:i:i]; n > 0 {
				head = append(head, run{n, r.each})
			}
			return head, tail
		}
		n -= r.offsets
	}
	return runs, nil
}

// checkCounts is Check for a frame with counts.
func (b Batch) checkCounts() error {
	runs, items, err := b.counts()
	if err != nil {
		return err
	}
	r, n := Reader{rest: items}, 0
	for _, _, ok := r.Next(); ok; _, _, ok = r.Next() {
		n++
	}
	if announced := itemsOf(runs); r.err != nil || n != announced {
		return r.Short(n, announced)
	}
	return nil
}

// countedParts is Parts for a frame with counts. Items of one offset stay together.
func (b Batch) countedParts(cuts []int) ([]Batch, error) {
	runs, items, err := b.counts()
	if err != nil {
		return nil, err
	}
	parts := make([]Batch, 0, len(cuts)+1)
	r, at := Reader{rest: items}, 0
	for _, cut := range append(cuts[:len(cuts):len(cuts)], b.N) {
		if cut <= at || cut > b.N {
			return nil, fmt.Errorf("%w: cut at %d, behind %d of %d offsets", ErrFrame, cut, at, b.N)
		}
		var own []run
		own, runs = cutRuns(runs, cut-at)
		begin := r.rest
		for range itemsOf(own) {
			if _, _, ok := r.Next(); !ok {
				return nil, fmt.Errorf("%w: it ends before offset %d", ErrFrame, cut)
			}
		}
		frame := append([]byte{Version}, begin[:len(begin)-len(r.rest)]...)
		parts = append(parts, Batch{Source: b.Source, First: b.First + int64(at), N: cut - at, Frame: appendRuns(frame, own)})
		at = cut
	}
	return parts, nil
}

// joinCounted is Join if a frame has counts.
func joinCounted(joined Batch, parts []Batch, memory *Memory) (Batch, error) {
	var runs []run
	frame := append(memory.Get(1)[:0], Version)
	for _, part := range parts {
		items := part.Frame[1:]
		if own := []run{{part.N, 1}}; !Counted(part.Frame) {
			runs = append(runs, own...)
		} else if counted, body, err := part.counts(); err != nil {
			return Batch{}, err
		} else {
			runs, items = append(runs, counted...), body
		}
		frame = append(frame, items...)
	}
	joined.Frame = appendRuns(frame, runs)
	return joined, nil
}
