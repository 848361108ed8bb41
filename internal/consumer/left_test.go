package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// What is reported after the end of the context was delivered all the same.
func TestTheLastAcknowledgementWaitsForWhatWasDelivered(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		q := w.Queue(t, broker.Queue{Name: "q"})
		if err := sender(t, w, "s", q).Send(t.Context(), []batch.Batch{brokertest.Numbers("s", 0, 5)}); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		for range 3 {
			r.item(t)
		}
		r.cancel()
		synctest.Wait()
		r.Delivered(3)
		if err := r.ended(t); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r = receive(t, w, "q", ReceiverOptions{})
		if _, text := r.item(t); text != brokertest.Offsets(3, 4)[0] {
			t.Errorf("its successor begins with %s", text)
		}
		r.cancel()
		_ = r.ended(t)
	})
}
