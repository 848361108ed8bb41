package cli

import (
	"sort"
	"sync"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// Bounds in bytes of a line, of a chunk and of all chunks. A chunk has many lines, so that short
// reads need no more memory than long ones.
const (
	recentLine  = 4 * (shownRunes + 1)
	recentChunk = 32 << 10
	recentBytes = 8 << 20
)

// Recent keeps the beginnings of the latest lines, for messages about failures. Its methods may be
// called concurrently.
type Recent struct {
	mu     sync.Mutex
	chunks []lineChunk // in order
	bytes  int
	next   int64 // offset of the next line
}

// A lineChunk has consecutive lines.
type lineChunk struct {
	first int64 // offset of the first line
	text  []byte
	ends  []uint32 // end of each line in text
}

// add adds the next lines, and drops the oldest ones above the bound.
func (r *Recent) add(lines []codec.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range lines {
		last := len(r.chunks) - 1
		if last < 0 || r.chunks[last].size() >= recentChunk {
			r.chunks, last = append(r.chunks, lineChunk{first: r.next}), last+1
		}
		t := &r.chunks[last]
		head := line[:min(len(line), recentLine)]
		t.text = append(t.text, head...)
		t.ends = append(t.ends, uint32(len(t.text)))
		r.bytes += len(head) + 4
		r.next++
	}
	for r.bytes > recentBytes {
		r.bytes -= r.chunks[0].size()
		r.chunks[0] = lineChunk{}
		r.chunks = r.chunks[1:]
	}
}

// size returns the approximate number of bytes of memory.
func (t *lineChunk) size() int { return len(t.text) + 4*len(t.ends) }

// line returns the beginning of the line at an offset, nil if it is not kept.
func (r *Recent) line(offset int64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := sort.Search(len(r.chunks), func(i int) bool { return r.chunks[i].first > offset }) - 1
	if i < 0 || offset-r.chunks[i].first >= int64(len(r.chunks[i].ends)) {
		return nil
	}
	t, at := r.chunks[i], offset-r.chunks[i].first
	begin := uint32(0)
	if at > 0 {
		begin = t.ends[at-1]
	}
	return t.text[begin:t.ends[at]:t.ends[at]]
}
