package worker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// heldEntries are the entries that a session has taken and that no completion has replaced. Between
// beginRecall and endRecall, entries that are replaced meanwhile count as held too, since a reply of
// Redis may be older.
type heldEntries struct {
	suspects atomic.Int64

	mu     sync.Mutex
	held   map[broker.Ref]bool
	recall map[broker.Ref]bool // entries held at any time since beginRecall; nil: no recall
}

// add holds an entry. It returns false if the entry is held already.
func (h *heldEntries) add(id broker.Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[id] || h.recall[id] {
		return false
	}
	h.held[id] = true
	if h.recall != nil {
		h.recall[id] = true
	}
	if id.Kind == broker.Suspect {
		h.suspects.Add(1)
	}
	return true
}

// remove drops an entry that was replaced.
func (h *heldEntries) remove(id broker.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held[id] && id.Kind == broker.Suspect {
		h.suspects.Add(-1)
	}
	delete(h.held, id)
}

func (h *heldEntries) beginRecall() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recall = maps.Clone(h.held)
}

func (h *heldEntries) endRecall() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recall = nil
}

// recalled reports whether an entry was held since beginRecall.
func (h *heldEntries) recalled(e broker.Entry) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.recall[e.Ref]
}

// addQueues appends the queues of the held entries to a list, each once.
func (h *heldEntries) addQueues(queues []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.held {
		if !slices.Contains(queues, id.Queue) {
			queues = append(queues, id.Queue)
		}
	}
	return queues
}
