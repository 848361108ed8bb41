package page

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// Calls of less than a second are in no report: then the slots at work follow from the time of calls.
func TestSlotsAtWorkFollowShareOfTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		running int
		busy    float64
		want    string
	}{{0, 0, "0"}, {0, 0.96, "2"}, {0, 0.5, "1"}, {0, 0.1, "–"}, {2, 0.1, "2"}, {1, 0.96, "2"}, {5, 1, "2"}, {0, 0.001, "0"}} {
		w := inspect.Worker{ID: "w", Concurrency: 2, Running: make([]inspect.Call, c.running)}
		s := &state{work: map[string]workerWork{"w": {Busy: c.busy}}}
		s.Snapshot.At = time.Unix(0, 0)
		if got := rowOf(s, w).Slots(); got != c.want {
			t.Errorf("%d calls, busy %v: %s slots, not %s", c.running, c.busy, got, c.want)
		}
	}
}
