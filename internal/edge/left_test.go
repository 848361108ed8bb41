package edge

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// What is reported after the end of the context was delivered all the same.
func TestTheLastAcknowledgementWaitsForWhatWasDelivered(t *testing.T) {
	inBubble(t, func(t *testing.T, w world) {
		q := w.declare(t, broker.Queue{Name: "q"})
		if err := w.sender(t, "s", q, 0).Send(t.Context(), []batch.Batch{numbers("s", 0, 5)}); err != nil {
			t.Fatal(err)
		}
		r := w.receive(t, "q", ReceiverOptions{})
		for range 3 {
			r.item(t)
		}
		r.cancel()
		synctest.Wait()
		r.Delivered(3)
		if err := r.ended(t); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r = w.receive(t, "q", ReceiverOptions{})
		if _, text := r.item(t); text != offsets(3, 4)[0] {
			t.Errorf("its successor begins with %s", text)
		}
		r.cancel()
		_ = r.ended(t)
	})
}
