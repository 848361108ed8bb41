package consumer

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// The first item of a source arrives last. The frames that wait for it are bounded, and all items
// are handed out in order.
func TestHeldFramesAreBounded(t *testing.T) {
	const items, size, most = 60, 100 << 10, 1 << 20
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		q := w.Queue(t, broker.Queue{Name: "q"})
		var batches []batch.Batch
		for i := range items {
			var b batch.Builder
			b.Value(bytes.Repeat([]byte{byte(i)}, size))
			batches = append(batches, batch.Batch{Source: "s", First: int64(i), N: 1, Frame: b.Take()})
		}
		if err := sender(t, w, "s", q).Send(t.Context(), batches); err != nil {
			t.Fatal(err)
		}
		r, err := Receive(t.Context(), w.C, "q", ReceiverOptions{
			Executor: "x1", Log: slog.New(slog.DiscardHandler), MaxHeld: most, Later: func(string, func(context.Context) error) {},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.loop.reader.conn.Close() }()
		entries, _, err := r.loop.reader.conn.Read(t.Context(), []broker.StreamRef{{Queue: "q"}}, items, 0)
		if err != nil || len(entries) != items {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		first := entries[0]
		for part := range slices.Chunk(entries[1:], 7) {
			if err := r.loop.process(t.Context(), slices.Clone(part)); err != nil || r.loop.order.held.bytes.Load() > most {
				t.Fatalf("%d bytes wait, %v", r.loop.order.held.bytes.Load(), err)
			}
		}
		if r.loop.order.held.bytes.Load() < most-2*size {
			t.Errorf("only %d bytes wait", r.loop.order.held.bytes.Load())
		}
		processed := make(chan error, 1)
		go func() {
			defer r.output.close()
			processed <- r.loop.process(t.Context(), []broker.Entry{first})
		}()
		n := 0
		for rg := range r.Pieces() {
			reader := rg.Reader()
			if item, failed, ok := reader.Next(); !ok || failed || len(item) != size || item[0] != byte(n) {
				t.Errorf("item %d is %d bytes, failed %v", n, len(item), failed)
			}
			n++
		}
		if err := <-processed; err != nil || n != items || r.loop.order.held.bytes.Load() != 0 {
			t.Errorf("%d items, %d bytes wait, %v", n, r.loop.order.held.bytes.Load(), err)
		}
	})
}
