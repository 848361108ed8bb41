package executor

import (
	"context"
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// sent takes note that the items of results are in Redis.
func (h *mailbox) sent(results []*result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range results {
		r.sent = true
	}
}

// unexpect forgets results that no caller has heard of.
func (h *mailbox) unexpect(results []*result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range results {
		if h.futures[r.id] == r {
			h.remove(r)
		}
	}
}

// waiting are the ids of the futures whose items were sent, by their queue.
func (h *mailbox) waiting() map[string][]string {
	ids := map[string][]string{}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, r := range h.futures {
		if r.sent {
			ids[r.of.queue] = append(ids[r.of.queue], id)
		}
	}
	return ids
}

// vanished ends the futures for which no result comes any more: one that was away
// for longer than results are kept, or whose Redis has lost what it held, would
// wait for ever.
func (h *mailbox) vanished(ctx context.Context) error {
	for queue, ids := range h.waiting() {
		backlog, err := h.c.Waiting(ctx, queue)
		if err != nil && !broker.IsGone(err) {
			return err
		}
		if backlog.Entries > 0 {
			continue
		}
		var b batch.Builder
		b.Failure(batch.Failure{Code: batch.CodeLost, Message: "neither its result nor its item is in Redis any more", Stage: queue})
		lost := b.Take()
		for part := range slices.Chunk(ids, futuresRead) {
			if err := h.fetch(ctx, part); err != nil { // a result is set before its item goes
				return err
			}
			for _, id := range part {
				h.settle(id, lost)
			}
		}
	}
	return nil
}
