package cli

import (
	"sort"
	"sync"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// Bounds, in bytes, of the lines that are kept for messages about failures: of a line, of a text, which has many lines so that
// short reads cost no more than long ones, and of all texts.
const (
	recentLine  = 4 * (shownRunes + 1)
	recentText  = 32 << 10
	recentBytes = 8 << 20
)

// Recent are the beginnings of the lines that were read last. Several goroutines use it.
type Recent struct {
	mu    sync.Mutex
	texts []lineText // in order
	bytes int
	next  int64 // offset of the next line
}

// A lineText is adjacent lines, one behind the other.
type lineText struct {
	first int64 // offset of the first one
	text  []byte
	ends  []uint32 // of each of them in text
}

// add adds the next lines, and forgets the oldest ones of too many.
func (r *Recent) add(lines []codec.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range lines {
		last := len(r.texts) - 1
		if last < 0 || r.texts[last].size() >= recentText {
			r.texts, last = append(r.texts, lineText{first: r.next}), last+1
		}
		t := &r.texts[last]
		head := line[:min(len(line), recentLine)]
		t.text = append(t.text, head...)
		t.ends = append(t.ends, uint32(len(t.text)))
		r.bytes += len(head) + 4
		r.next++
	}
	for r.bytes > recentBytes {
		r.bytes -= r.texts[0].size()
		r.texts[0] = lineText{}
		r.texts = r.texts[1:]
	}
}

// size is about how many bytes of memory it takes.
func (t *lineText) size() int { return len(t.text) + 4*len(t.ends) }

// line returns the beginning of a line, nil if it is not one of the last.
func (r *Recent) line(offset int64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := sort.Search(len(r.texts), func(i int) bool { return r.texts[i].first > offset }) - 1
	if i < 0 || offset-r.texts[i].first >= int64(len(r.texts[i].ends)) {
		return nil
	}
	t, at := r.texts[i], offset-r.texts[i].first
	begin := uint32(0)
	if at > 0 {
		begin = t.ends[at-1]
	}
	return t.text[begin:t.ends[at]:t.ends[at]]
}
