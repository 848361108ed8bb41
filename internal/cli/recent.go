package cli

import (
	"sort"
	"sync"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// What is kept of the input for messages about lines that fail: of each line what a message shows, of so many
// lines as are so many bytes.
const (
	recentLine  = 4 * (shownRunes + 1)
	recentBytes = 8 << 20
)

// recent are the beginnings of the lines that were read last. Several goroutines use it.
type recent struct {
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
func (r *recent) add(lines []codec.Item) {
	size := 0
	for _, line := range lines {
		size += min(len(line), recentLine)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	added := lineText{first: r.next}
	r.next += int64(len(lines))
	added.text, added.ends = make([]byte, 0, size), make([]uint32, 0, len(lines))
	for _, line := range lines {
		added.text = append(added.text, line[:min(len(line), recentLine)]...)
		added.ends = append(added.ends, uint32(len(added.text)))
	}
	r.texts, r.bytes = append(r.texts, added), r.bytes+added.size()
	for r.bytes > recentBytes {
		r.bytes -= r.texts[0].size()
		r.texts[0] = lineText{}
		r.texts = r.texts[1:]
	}
}

// size is about how many bytes of memory it takes.
func (t *lineText) size() int { return cap(t.text) + 4*cap(t.ends) }

// line returns the beginning of a line, nil if it is not one of the last.
func (r *recent) line(offset int64) []byte {
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
