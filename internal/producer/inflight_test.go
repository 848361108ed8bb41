package producer

import (
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// 64 batches of 1,500 bytes go through a flight of 6,000 bytes: the stored items that are not
// delivered are never more than that and a batch.
func TestBytesInFlightAreBounded(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		r := receive(t, w, "q")
		s := sender(t, w, "s", q, broker.Window{Items: 1 << 18, OnceGathered: true})
		s.flight.limit = 6000
		testkit.Eventually(t, func() bool { // the gather has seen the source
			got, err := w.C.Scatter(t.Context(), s.source, "x1", broker.Window{}, nil)
			s.flight.setDelivered(got.Low)
			return err == nil && got.Low == 0
		}, "the window counts")
		all := brokertest.Texts(64, 1500)
		sent := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < len(all) && err == nil; i++ {
				err = s.Send(t.Context(), all[i:i+1])
			}
			sent <- errors.Join(err, s.Finish(t.Context(), 64), w.C.Seal(t.Context(), "q"))
		}()
		for at := range int64(64) {
			if source, text := r.item(t); source != "s" || len(text) != 1500 {
				t.Fatalf("item %d: %d bytes of %q", at, len(text), source)
			}
			if found, err := w.C.Look(t.Context(), "q"); err != nil || found.Items > at+5 {
				t.Fatalf("%d are stored where %d are delivered, %v", found.Items, at, err)
			}
			r.Delivered(1)
		}
		if source, _ := r.item(t); source != "" {
			t.Error("more came")
		}
		if err := errors.Join(<-sent, r.ended(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestFlight(t *testing.T) {
	t.Parallel()
	f := inFlight{limit: 6400, delivered: -1}
	for end := int64(1); end <= 100; end++ {
		f.addStored(end, 100)
	}
	asked, counted := broker.Window{Items: 50, OnceGathered: true}, broker.Window{Items: 50}
	if got := f.window(asked); got != asked {
		t.Errorf("without a gather the window is %v", got)
	}
	for _, step := range []struct {
		low, bytes int64
		window     broker.Window
	}{{0, 10000, counted}, {20, 8000, counted}, {60, 4000, asked}, {100, 0, asked}} {
		f.setDelivered(step.low)
		if got := f.window(asked); f.bytes != step.bytes || got != step.window {
			t.Errorf("delivered to %d: %d bytes, window %v", step.low, f.bytes, got)
		}
	}
	f.addStored(101, 10000)
	f.setDelivered(100)
	if got := f.window(counted); got.Items != 1 {
		t.Errorf("one item is in flight, the window is %v", got)
	}
}
