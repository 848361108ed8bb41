package consumer

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// The latency of an item is the time from its scatter to its delivery. It counts once the whole
// batch is delivered.
func TestLatencyIsTheTimeFromScatterToDelivery(t *testing.T) {
	inBubble(t, func(t *testing.T, w brokertest.World) {
		s := sender(t, w, "s", w.Queue(t, broker.Queue{Name: "q"}))
		if err := s.Send(t.Context(), brokertest.Texts(3, 10)[:1]); err != nil {
			t.Fatal(err)
		}
		<-time.After(4 * time.Second)
		if err := s.Send(t.Context(), brokertest.Texts(3, 10)[1:]); err != nil {
			t.Fatal(err)
		}
		<-time.After(4 * time.Second)
		r := receive(t, w, "q", ReceiverOptions{})
		for i := range 3 {
			r.item(t)
			if latency := r.Latency(); latency.Count() != int64(i) {
				t.Errorf("%d items count, %d are delivered", latency.Count(), i)
			}
			r.Delivered(1)
		}
		latency := r.Latency()
		for q, want := range map[float64]time.Duration{0.5: 4 * time.Second, 1: 8 * time.Second} {
			if got := latency.Quantile(q); got < want*9/10 || got > want*11/10 {
				t.Errorf("quantile %v is %v, want about %v", q, got, want)
			}
		}
		r.cancel()
		_ = r.ended(t)
	})
}
