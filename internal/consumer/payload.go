package consumer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// defaultMaxHeld is the default of ReceiverOptions.MaxHeld.
const defaultMaxHeld = 256 << 20

// payloads fetches payloads: frames in keys of their own. The frames that wait in the order have at
// most maxHeld bytes. Beyond that, the payload of an entry that would wait stays in Redis until the
// entry is due.
type payloads struct {
	client  *broker.Client
	order   *order
	memory  *batch.Memory // of frames
	maxHeld int
	keep    bool // payloads stay in Redis; none is fetched
}

// fetch reads the payloads of new entries into their frames.
func (ps *payloads) fetch(ctx context.Context, entries []broker.Entry) error {
	if ps.keep {
		return nil
	}
	held := int(ps.order.held.bytes.Load())
	for from, i := 0, 0; i <= len(entries); i++ {
		if i < len(entries) {
			e := entries[i]
			if held+e.Size <= ps.maxHeld || e.Payload == "" || !ps.order.waits(e) {
				held += e.Size
				continue
			}
		}
		if err := ps.client.Fetch(ctx, ps.memory, entries[from:i]); err != nil {
			return err
		}
		from = i + 1
	}
	return nil
}

// fetchDue reads the payload of an entry that is due, if fetch has left it in Redis. If the frame
// is malformed, the items become failures.
func (ps *payloads) fetchDue(ctx context.Context, e *broker.Entry) error {
	if ps.keep || !unfetched(e) {
		return nil
	}
	due := []broker.Entry{*e}
	if err := ps.client.Fetch(ctx, ps.memory, due); err != nil {
		return err
	}
	if *e = due[0]; e.Lost == nil {
		if err := e.Check(); err != nil {
			e.Lost = malformed(e.Queue, err)
		}
	}
	return nil
}

// unfetched reports whether the frame of an entry is in Redis only.
func unfetched(e *broker.Entry) bool { return e.Payload != "" && e.Frame == nil && e.Lost == nil }

// malformed is the failure of the items of a frame that cannot be decoded.
func malformed(queue string, why error) *batch.Failure {
	return &batch.Failure{Code: batch.CodeDecode, Message: why.Error(), Stage: queue}
}
