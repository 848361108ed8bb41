package broker

import (
	"encoding/json"
	"slices"
	"time"
)

// cardBytes limits each list of a card.
const cardBytes = 4 << 10

// CardFields are fields of a card as they were last sent. Clear them after a heartbeat that failed.
type CardFields map[string]string

// Add appends a field to a card, unless it has the value that was last sent.
func (f CardFields) Add(card []any, field, value string) []any {
	if sent, ok := f[field]; ok && sent == value {
		return card
	}
	f[field] = value
	return append(card, field, value)
}

// CardList returns the first of some items as JSON, as many as a card may have.
func CardList[T any](items []T) string {
	list := []byte{'['}
	for i, item := range items {
		text, err := json.Marshal(item)
		if err != nil || len(list)+len(text)+2 > cardBytes {
			break
		}
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, text...)
	}
	return string(append(list, ']'))
}

// timesKey stands before the times of a gather on a card.
const timesKey = `,"times":`

// GatherList returns the first of some gathers as CardList does. The room that they leave has the
// times of as many of them as fit, from the gather at the index first on, and then those of the ones
// before it. next is the index from which the next list should go on: that of the first gather whose
// times have no room, or the one behind it if no other times were before them.
func GatherList(gathers []GatherReport, first int) (list string, next int) {
	shown := slices.Clone(gathers)
	for i := range shown {
		shown[i].Times = nil
	}
	list = CardList(shown)
	shown = shown[:countIn(list)]
	room, timed := cardBytes-len(list), 0
	for n := range shown {
		i := (first + n) % len(shown)
		if gathers[i].Times == nil {
			continue
		}
		text, err := json.Marshal(gathers[i].Times)
		if room -= len(timesKey) + len(text); err != nil || room < 0 {
			if timed == 0 {
				i++
			}
			return CardList(shown), i
		}
		shown[i].Times = gathers[i].Times
		timed++
	}
	return CardList(shown), 0
}

// countIn returns the number of elements of a list that CardList has made.
func countIn(list string) int {
	var elements []json.RawMessage
	if json.Unmarshal([]byte(list), &elements) != nil {
		return 0
	}
	return len(elements)
}

// A FeedReport is an open source on the card of its executor.
type FeedReport struct {
	Queue  string    `json:"queue"`
	Source string    `json:"source"`
	Stored int64     `json:"stored"` // items so far
	State  FeedState `json:"state"`
	For    int64     `json:"ms,omitempty"` // for which it has waited without a break, 0: it does not wait
	Waited int       `json:"waited"`       // percent of the last ten seconds in which it was FeedFull or FeedWindow
	Caller int       `json:"caller"`       // percent in which it had no item to store
	Since  time.Time `json:"-"`            // when the wait began, by the clock of Redis; zero: it does not wait
}

// A FeedState is what a source waits for.
type FeedState string

// The states.
const (
	FeedRunning FeedState = "running" // otherwise
	FeedFull    FeedState = "full"    // room in its queue
	FeedWindow  FeedState = "window"  // its gathers
	FeedRedis   FeedState = "redis"   // an answer of Redis
)

// A GatherReport is a gather on the card of its executor.
type GatherReport struct {
	Queue     string      `json:"queue"`
	Delivered int64       `json:"delivered"` // items so far
	Held      int64       `json:"held"`      // items in its memory
	Bytes     int64       `json:"bytes"`     // of their frames
	Wants     *WantedItem `json:"wants,omitempty"`
	Reader    int         `json:"reader"`       // percent of the last ten seconds in which it waited for its program
	For       int64       `json:"ms,omitempty"` // for which it has done so without a break, in ms; 0: it does not wait
	Since     time.Time   `json:"-"`            // when that began, by the clock of Redis; zero: it does not wait
	// Times are those from the scatter of the delivered items to their delivery. It is nil without
	// one, and if the card has no room for it.
	Times *TimesReport `json:"times,omitempty"`
}

// A WantedItem is a stored item that a gather has waited for longest.
type WantedItem struct {
	Source string    `json:"source"` // its name in the scatter
	Offset int64     `json:"offset"`
	For    int64     `json:"ms"`
	Since  time.Time `json:"-"` // by the clock of Redis
}

// Feeds returns the open sources of an executor as of its last heartbeat, those that wait longest
// first: as many as its card has room for.
func (p Process) Feeds() (feeds []FeedReport) {
	if json.Unmarshal([]byte(p.Card["feeds"]), &feeds) != nil {
		return nil
	}
	for i := range feeds {
		feeds[i].Since = p.since(feeds[i].For)
	}
	return feeds
}

// Gathers returns the gathers of an executor in the same way.
func (p Process) Gathers() (gathers []GatherReport) {
	if json.Unmarshal([]byte(p.Card["gathers"]), &gathers) != nil {
		return nil
	}
	for i := range gathers {
		g := &gathers[i]
		g.Since = p.since(g.For)
		if g.Wants != nil {
			g.Wants.Since = p.since(g.Wants.For)
		}
	}
	return gathers
}

// since returns the time that was so many ms before the last heartbeat, zero for 0 ms.
func (p Process) since(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(parseInt(p.Card["seen"]) - ms)
}
