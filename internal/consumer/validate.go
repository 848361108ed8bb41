package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// farAhead of what a source had stored when it was last looked at, an entry is
// looked into.
const farAhead = 1 << 20

// sift takes out what is no batch of a source of this queue: a stranger put it
// there, and nobody waits for it. It becomes a dead letter. A frame that cannot be
// read becomes failures of the items that it should hold.
func (r *Receiver) sift(ctx context.Context, entries []broker.Entry) ([]broker.Entry, error) {
	broken := make([]error, len(entries))
	var doubtful []string
	for i, e := range entries {
		broken[i] = r.malformed(e)
		if e.N > 0 && r.isDoubtful(e, broken[i]) {
			doubtful = append(doubtful, e.Source)
		}
	}
	// All entries are judged by one look: a source that it does not find is forgotten, and with it that it was delivered.
	if doubtful != nil {
		slices.Sort(doubtful)
		if err := r.readNamed(ctx, slices.Compact(doubtful)); err != nil {
			return nil, err
		}
	}
	var forged []broker.Completion
	batches := entries[:0]
	for i, e := range entries {
		malformed := broken[i]
		switch why := r.forged(e, malformed); {
		case why != "":
			f := &batch.Failure{Code: batch.CodeDecode, Message: why, Stage: e.Queue}
			forged = append(forged, broker.Completion{Entry: e, In: r.g.Queue, Dead: f})
			delete(r.known, e.ID)
			continue
		case malformed != nil:
			e.Lost = malformedFrame(e.Queue, malformed)
		}
		batches = append(batches, e)
	}
	if forged == nil {
		return batches, nil
	}
	outcomes, err := r.c.Complete(ctx, forged)
	if err != nil {
		return nil, err
	}
	r.log.LogAttrs(ctx, slog.LevelWarn, "entries of a stranger become dead letters", slog.String("queue", r.g.Queue.Name),
		slog.Int("entries", len(forged)), slog.String("why", forged[0].Dead.Message), slog.String("outcome", string(outcomes[0])))
	return batches, nil
}

// malformed returns the defect of the frame of an entry, if that was read.
func (r *Receiver) malformed(e broker.Entry) error {
	if unread(&e) {
		return e.CheckRange()
	}
	return e.Check()
}

// isDoubtful tells whether the sources have to be looked at before an entry is
// believed.
func (r *Receiver) isDoubtful(e broker.Entry, malformed error) bool {
	s := r.sources.known[e.Source]
	unread := malformed != nil || e.Lost != nil || e.Frame == nil
	return s == nil || unread && e.End() > s.stored || e.First > s.stored+farAhead
}

// forged tells why an entry is no batch of a source of this queue, "" where it
// may be one.
func (r *Receiver) forged(e broker.Entry, malformed error) string {
	if e.N < 1 || e.First < 0 || e.First > math.MaxInt64-int64(e.N) {
		return fmt.Sprintf("%d items at offset %d are no batch", e.N, e.First)
	}
	if r.isDoubtful(e, malformed) {
		return fmt.Sprintf("source %q has not stored the items %d to %d", e.Source, e.First, e.End()-1)
	}
	return ""
}
