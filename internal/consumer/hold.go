package consumer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// defaultMaxHeld is the default of ReceiverOptions.MaxHeld.
const defaultMaxHeld = 256 << 20

// fetch reads the frames of entries that are keys of their own. Where an item is missing and much
// waits for it already, what comes behind stays in Redis until it is due.
func (r *Receiver) fetch(ctx context.Context, entries []broker.Entry) error {
	if r.keep > 0 {
		return nil
	}
	held := r.order.held
	for from, i := 0, 0; i <= len(entries); i++ {
		if i < len(entries) {
			e := entries[i]
			if held+e.Size <= r.maxHeld || e.Payload == "" || !r.order.waits(e) {
				held += e.Size
				continue
			}
		}
		if err := r.c.Fetch(ctx, &r.memory, entries[from:i]); err != nil {
			return err
		}
		from = i + 1
	}
	return nil
}

// fetchLate reads the frame of an entry that is due, if fetch has left it in Redis.
func (r *Receiver) fetchLate(ctx context.Context, e *broker.Entry) error {
	if r.keep > 0 || !unread(e) {
		return nil
	}
	due := []broker.Entry{*e}
	if err := r.c.Fetch(ctx, &r.memory, due); err != nil {
		return err
	}
	if *e = due[0]; e.Lost == nil {
		if err := e.Check(); err != nil {
			e.Lost = malformedFrame(e.Queue, err)
		}
	}
	return nil
}

// unread reports whether the frame of an entry is in Redis only.
func unread(e *broker.Entry) bool { return e.Payload != "" && e.Frame == nil && e.Lost == nil }

func malformedFrame(queue string, why error) *batch.Failure {
	return &batch.Failure{Code: batch.CodeDecode, Message: why.Error(), Stage: queue}
}
