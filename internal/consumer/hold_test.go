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

// The first item of a source comes last. Of what comes before it and waits, no more is held than may
// be, and all comes in order.
func TestWhatWaitsForAnItemIsBounded(t *testing.T) {
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
		defer func() { _ = r.reader.Close() }()
		entries, _, err := r.reader.Read(t.Context(), []broker.StreamRef{{Queue: "q"}}, items, 0)
		if err != nil || len(entries) != items {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		first := entries[0]
		for part := range slices.Chunk(entries[1:], 7) {
			if err := r.pass(t.Context(), slices.Clone(part)); err != nil || r.order.held > most {
				t.Fatalf("%d bytes wait, %v", r.order.held, err)
			}
		}
		if r.order.held < most-2*size {
			t.Errorf("only %d bytes wait", r.order.held)
		}
		handed := make(chan error, 1)
		go func() {
			defer close(r.pieces)
			handed <- r.pass(t.Context(), []broker.Entry{first})
		}()
		n := 0
		for p := range r.Pieces() {
			reader := p.Reader()
			if item, failed, ok := reader.Next(); !ok || failed || len(item) != size || item[0] != byte(n) {
				t.Errorf("item %d is %d bytes, failed %v", n, len(item), failed)
			}
			n++
		}
		if err := <-handed; err != nil || n != items || r.order.held != 0 {
			t.Errorf("%d items, %d bytes wait, %v", n, r.order.held, err)
		}
	})
}
