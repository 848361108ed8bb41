package consumer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// abandoned makes a source of three items and gives it up.
func abandoned(t *testing.T, w brokertest.World, name string, q broker.Queue, opts ...broker.SourceOption) broker.Source {
	t.Helper()
	s, stored, err := w.C.Source(t.Context(), name, q, 0, opts...)
	if err == nil {
		_, err = w.C.Scatter(t.Context(), s, "x1", broker.Window{}, []broker.Parcel{{Batch: brokertest.Numbers(name, stored, stored+3)}})
	}
	if err == nil {
		err = w.C.Abandon(t.Context(), s, "its process died")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnAbandonedSourceOfASealedQueueIsTheLastError(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		abandoned(t, w, "s0", q)
		abandoned(t, w, "s1", q)
		if err := w.C.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := receive(t, w, "q", ReceiverOptions{})
		if got := r.all(t); !slices.Equal(got["s0"], brokertest.Offsets(0, 3)) || !slices.Equal(got["s1"], brokertest.Offsets(0, 3)) {
			t.Errorf("received %v", got)
		}
		err := r.ended(t)
		if !errors.Is(err, broker.ErrTruncated) || !strings.Contains(err.Error(), "source s0: its process died") || !strings.Contains(err.Error(), "source s1") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestAnOpenQueueTellsOfItsSourcesAndGoesOn(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		q := w.Queue(t, broker.Queue{Name: "q"})
		abandoned(t, w, "going", q)
		abandoned(t, w, "staying", q, broker.Durable())
		r := receive(t, w, "q", ReceiverOptions{})
		told := map[string]int{}
		for range 8 {
			source, text := r.item(t)
			if text = strings.TrimPrefix(text, "failed: queue q: "); strings.HasPrefix(text, broker.ErrTruncated.Error()+", after 3 items of source going: its process died") ||
				strings.HasPrefix(text, "source staying is away after 3 items: its process died") {
				told[source]++
				if code := r.piece.Entry.Lost.Code; code != map[string]string{"going": batch.CodeCut, "staying": batch.CodeAway}[source] {
					t.Errorf("%s is told with the code %s", source, code)
				}
			}
			r.Delivered(1)
		}
		if told["going"] != 1 || told["staying"] != 1 {
			t.Fatalf("told %v", told)
		}
		abandoned(t, w, "staying", q, broker.Durable()) // its successor comes, and dies as well
		var texts []string
		for range 4 {
			_, text := r.item(t)
			if texts = append(texts, text); strings.Contains(text, "away after 3 items") {
				t.Errorf("again: %s", text)
			}
			r.Delivered(1)
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, "away after 6 items") }) {
			t.Errorf("the second death is not told: %q", texts)
		}
		s, stored, err := w.C.Source(t.Context(), "staying", q, 0)
		if err == nil {
			err = w.C.Finish(t.Context(), s, stored)
		}
		if err == nil {
			err = w.C.Seal(t.Context(), "q")
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := r.all(t); len(got) > 0 {
			t.Errorf("behind the end: %v", got)
		}
		if err := r.ended(t); err != nil {
			t.Errorf("it ended with %v", err)
		}
		if _, _, err := w.C.Source(t.Context(), "staying", q, 0); !errors.Is(err, broker.ErrEnded) {
			t.Errorf("the ended source goes on: %v", err)
		}
	})
}
