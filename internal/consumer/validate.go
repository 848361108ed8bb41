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

// maxAhead is how far an entry may begin beyond the stored offset that was read last of its source.
// The validator wants an entry farther ahead to be confirmed by another read of the source.
const maxAhead = 1 << 20

// A validator checks entries before their items count. An entry that is no batch of a source of
// this queue was written by another program. It becomes a dead letter, since no producer waits for
// its result. A frame that cannot be decoded becomes a failure of each item that it should hold.
type validator struct {
	client  *broker.Client
	gather  broker.Gather
	log     *slog.Logger
	sources *sources
}

// check returns the defect of each frame, nil for a sound one, and the names of the sources that
// have to be read before accept can decide.
func (v *validator) check(entries []broker.Entry) (defects []error, doubtful []string) {
	defects = make([]error, len(entries))
	for i, e := range entries {
		defects[i] = checkFrame(e)
		if e.N > 0 && v.isDoubtful(e, defects[i]) {
			doubtful = append(doubtful, e.Source)
		}
	}
	slices.Sort(doubtful)
	return defects, slices.Compact(doubtful)
}

// accept returns the entries that are batches of known sources. The others become dead letters. It
// reuses the memory of entries.
func (v *validator) accept(ctx context.Context, entries []broker.Entry, defects []error) (valid, rejected []broker.Entry, err error) {
	var letters []broker.Completion
	valid = entries[:0]
	for i, e := range entries {
		if why := v.reject(e, defects[i]); why != "" {
			f := &batch.Failure{Code: batch.CodeDecode, Message: why, Stage: e.Queue}
			letters = append(letters, broker.Completion{Entry: e, In: v.gather.Queue, Dead: f})
			rejected = append(rejected, e)
			continue
		}
		if defects[i] != nil {
			e.Lost = malformed(e.Queue, defects[i])
		}
		valid = append(valid, e)
	}
	if letters == nil {
		return valid, nil, nil
	}
	outcomes, err := v.client.Complete(ctx, letters)
	if err != nil {
		return nil, nil, err
	}
	v.log.LogAttrs(ctx, slog.LevelWarn, "invalid entries became dead letters", slog.String("queue", v.gather.Queue.Name),
		slog.Int("entries", len(letters)), slog.String("reason", letters[0].Dead.Message), slog.String("outcome", string(outcomes[0])))
	return valid, rejected, nil
}

// checkFrame returns the defect of the frame of an entry, or of its range if the frame is not
// fetched.
func checkFrame(e broker.Entry) error {
	if unfetched(&e) {
		return e.CheckRange()
	}
	return e.Check()
}

// isDoubtful reports whether the source of an entry, as it was read last, does not confirm the
// entry.
func (v *validator) isDoubtful(e broker.Entry, defect error) bool {
	name, first := broker.Ancestor(e.Source, e.First)
	s, end := v.sources.byName[name], e.End()
	if name != e.Source {
		end = first + 1
	}
	unreadable := defect != nil || e.Lost != nil || e.Frame == nil
	return s == nil || unreadable && end > s.stored || first > s.stored+maxAhead
}

// reject returns why an entry is no batch of a source of this queue, "" if it is one.
func (v *validator) reject(e broker.Entry, defect error) string {
	if e.N < 1 || e.First < 0 || e.First > math.MaxInt64-int64(e.N) {
		return fmt.Sprintf("%d items at offset %d are no batch", e.N, e.First)
	}
	if _, _, n, ok := broker.Parent(e.Source); broker.IsChild(e.Source) && (!ok || e.End() > n) {
		return fmt.Sprintf("%q has no items %d to %d", e.Source, e.First, e.End()-1)
	}
	if v.isDoubtful(e, defect) {
		return fmt.Sprintf("source %q has not stored the items %d to %d", e.Source, e.First, e.End()-1)
	}
	return ""
}
