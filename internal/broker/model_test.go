package broker_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// A part is the range [from, to) of a source in the model.
type part struct {
	source   string
	from, to int64
	size     int
	crashes  int
	lost     bool
	attempts int
}

func (p part) String() string {
	return fmt.Sprintf("%s[%d,%d) crashes %d attempts %d lost %v", p.source, p.from, p.to, p.crashes, p.attempts, p.lost)
}

func items(parts []part) (n, bytes int64) {
	for _, p := range parts {
		n, bytes = n+p.to-p.from, bytes+int64(p.size)
	}
	return n, bytes
}

// held is an entry that a consumer has read and that the model regards as pending.
type held struct {
	part
	ref broker.Ref
	by  string
}

// feeder is a source with its state in the model.
type feeder struct {
	broker.Source
	stored    int64
	low       int64 // offset below which all is delivered, as the gather wrote it
	acked     bool
	window    int64 // the window that workers respect; 0: none
	delivered map[int64]int
	last      []broker.Parcel
}

// word returns the item at an offset. Some are so long that their frame gets a payload key.
func word(source string, at int64) string {
	w := source + ":" + strconv.FormatInt(at, 10)
	if at%7 == 3 {
		w += strings.Repeat("x", 3000)
	}
	return w
}

func words(source string, from, to int64) batch.Batch {
	var all []string
	for at := from; at < to; at++ {
		all = append(all, word(source, at))
	}
	return framed(source, from, all...)
}

// scatterModel is scatter.lua in Go: it returns the added parts and the expected reply.
func (f *feeder) scatterModel(unread []part, max int64, window broker.Window, parcels []broker.Parcel) (added []part, want broker.Scattered) {
	count, _ := items(unread)
	stored := f.stored
	limit := int64(-1)
	if window.Items > 0 && (f.acked || !window.OnceGathered) {
		limit = f.low + window.Items
	}
	for _, p := range parcels {
		if p.End() <= stored {
			continue
		}
		if p.First < stored {
			want.Cut = true
			break
		}
		full := count > 0 && max > 0 && count+int64(p.N) > max
		if beyond := limit >= 0 && p.End() > limit; full || beyond {
			want.Full, want.Window = true, !full
			break
		}
		if p.First > stored {
			added = append(added, part{source: f.Name, from: stored, to: p.First, lost: true})
		}
		added = append(added, part{source: f.Name, from: p.First, to: p.End(), size: len(p.Frame)})
		stored, count = p.End(), count+int64(p.N)
	}
	want.Stored, want.Room = stored, -1
	if limit >= 0 {
		want.Room = limit - stored
	}
	if max > 0 && (want.Room < 0 && limit < 0 || max-count < want.Room) {
		want.Room = max - count
	}
	if limit >= 0 || max > 0 {
		want.Room = max0(want.Room)
	}
	return added, want
}

func max0(n int64) int64 { return max(n, 0) }

// check compares an entry with the expected part.
func (p part) check(t *rapid.T, e broker.Entry) {
	t.Helper()
	got := part{e.Source, e.First, e.End(), p.size, e.Crashes, e.Lost != nil, e.Attempts}
	if got != p {
		t.Fatalf("read %v, the model has %v", got, p)
	}
	if p.lost {
		return
	}
	if e.Size != 0 && e.Size != p.size {
		t.Fatalf("%v has %d bytes, the model %d", p, e.Size, p.size)
	}
	for i, text := range texts(e.Batch) {
		if text != word(p.source, p.from+int64(i)) {
			t.Fatalf("item %d of %v is %.20q", i, p, text)
		}
	}
	if err := e.Check(); err != nil {
		t.Fatal(err)
	}
}

// byID sorts in the order of the stream.
func byID(a, b held) int {
	am, as, _ := strings.Cut(a.ref.ID, "-")
	bm, bs, _ := strings.Cut(b.ref.ID, "-")
	return cmp.Or(cmp.Compare(len(am), len(bm)), cmp.Compare(am, bm), cmp.Compare(len(as), len(bs)), cmp.Compare(as, bs))
}

// take removes the held entries for which is returns true, in the order of the stream.
func take(from *[]held, is func(held) bool) (taken []held) {
	*from = slices.DeleteFunc(*from, func(h held) bool {
		if is(h) {
			taken = append(taken, h)
			return true
		}
		return false
	})
	slices.SortFunc(taken, byID)
	return taken
}

// mark returns the delivered mark of a source in its form in Redis.
func (f *feeder) mark() broker.Mark {
	m := broker.Mark{Source: f.Name}
	for f.delivered[m.Low] > 0 {
		m.Low++
	}
	m.Delivered = strconv.FormatInt(m.Low, 10)
	for at := m.Low; at < f.stored; at++ {
		if f.delivered[at] == 0 {
			continue
		}
		from := at
		for f.delivered[at] > 0 {
			at++
		}
		m.Delivered += fmt.Sprintf(",%d-%d", from, at)
	}
	return m
}

// within returns how many entries are within the windows of their sources.
func within(unread []part, feeders []*feeder) int {
	for i, p := range unread {
		for _, f := range feeders {
			if f.Name == p.source && f.acked && f.window > 0 && p.from >= f.low+f.window {
				return i
			}
		}
	}
	return len(unread)
}
