package page

import (
	"context"
	"maps"
	"net/url"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/peek"
)

// Bounds of the items of a queue that a page shows.
const (
	shownItems  = 20 // also of a letter
	itemsAge    = 10 * time.Second
	itemsWithin = 5 * time.Second // of one search
)

// A peekKey is a request of a page for items.
type peekKey struct{ queue, from, text string }

// peeked are items of a queue.
type peeked struct {
	Items       []inspect.Item
	First, Next string // addresses of the begin and of the next part, "" for none
	Text        string // that the items contain
	Problem     string

	read time.Time
}

// searches keeps the items that were found for itemsAge, so that a page that follows the namespace
// does not search each time.
type searches struct {
	mu    sync.Mutex
	known map[peekKey]peeked
}

// items returns the items of a queue that an address asks for.
func (p *Page) items(ctx context.Context, queue string, q url.Values) peeked {
	key := peekKey{queue, q.Get("from"), q.Get("text")}
	if p.HidePayloads {
		key.text = ""
	}
	s := &p.searches
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.known, func(_ peekKey, old peeked) bool { return time.Since(old.read) > itemsAge })
	if found, ok := s.known[key]; ok {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, itemsWithin)
	defer cancel()
	items, next, err := peek.Items(ctx, p.inspector, queue, key.from, key.text, shownItems)
	if err != nil {
		return peeked{Text: key.text, Problem: err.Error()}
	}
	found := peeked{Items: items, Text: key.text, read: time.Now()}
	if key.from != "" {
		found.First = with(q, "from", "")
	}
	if next != "" {
		found.Next = with(q, "from", next)
	}
	if s.known == nil {
		s.known = map[peekKey]peeked{}
	}
	s.known[key] = found
	return found
}
