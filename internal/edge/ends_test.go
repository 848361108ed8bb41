package edge

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// abandoned makes a source of three items and gives it up.
func (w world) abandoned(t *testing.T, name string, q broker.Queue, opts ...broker.SourceOption) broker.Source {
	t.Helper()
	s, stored, err := w.c.Source(t.Context(), name, q, 0, opts...)
	if err == nil {
		_, err = w.c.Scatter(t.Context(), s, "x1", 0, []broker.Parcel{{Batch: numbers(name, stored, stored+3)}})
	}
	if err == nil {
		err = w.c.Abandon(t.Context(), s, "its process died")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnAbandonedSourceOfASealedQueueIsTheLastError(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		t.Helper()
		q := w.declare(t, broker.Queue{Name: "q"})
		w.abandoned(t, "s0", q)
		w.abandoned(t, "s1", q)
		if err := w.c.Seal(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
		r := w.receive(t, "q", ReceiverOptions{})
		if got := r.all(t); !slices.Equal(got["s0"], offsets(0, 3)) || !slices.Equal(got["s1"], offsets(0, 3)) {
			t.Errorf("received %v", got)
		}
		err := r.ended(t)
		if !errors.Is(err, broker.ErrTruncated) || !strings.Contains(err.Error(), "source s0: its process died") || !strings.Contains(err.Error(), "source s1") {
			t.Errorf("it ended with %v", err)
		}
	})
}

func TestAnOpenQueueTellsOfItsSourcesAndGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, w world) {
		t.Helper()
		q := w.declare(t, broker.Queue{Name: "q"})
		w.abandoned(t, "going", q)
		w.abandoned(t, "staying", q, broker.Durable())
		r := w.receive(t, "q", ReceiverOptions{})
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
		w.abandoned(t, "staying", q, broker.Durable()) // its successor comes, and dies as well
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
		s, stored, err := w.c.Source(t.Context(), "staying", q, 0)
		if err == nil {
			err = w.c.Finish(t.Context(), s, stored)
		}
		if err == nil {
			err = w.c.Seal(t.Context(), "q")
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
		if _, _, err := w.c.Source(t.Context(), "staying", q, 0); !errors.Is(err, broker.ErrEnded) {
			t.Errorf("the ended source goes on: %v", err)
		}
	})
}
