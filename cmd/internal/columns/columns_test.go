package columns_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/columns"
	"github.com/dqbridge/dqbridge/inspect"
)

// row returns the cells of a row that everybody sees.
func row[T any](columns []cli.Column[T], row T) string {
	var cells []string
	for _, c := range columns {
		if !c.Wide {
			cells = append(cells, c.Text(row))
		}
	}
	return strings.Join(cells, "|")
}

// The remedy of a flow is that of its reason, or of its bottleneck.
func TestRemedyFollowsReason(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]inspect.Flow{
		"more workers": {Bottleneck: &inspect.Bottleneck{Remedy: "more workers"}},
		"resume it":    {Why: "paused", Remedy: "resume it", Bottleneck: &inspect.Bottleneck{Remedy: "more workers"}},
	} {
		for _, c := range columns.Flows(time.Time{}) {
			if c.Head == "REMEDY" && c.Text(f) != want {
				t.Errorf("%+v has the remedy %q", f, c.Text(f))
			}
		}
	}
}

func TestCellsJoinFields(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	late := &inspect.Process{ID: "p", Host: "h", PID: 1, State: inspect.Late, Seen: at.Add(-5 * time.Second)}
	for want, got := range map[string]string{
		"q|int|open, full|3|>=1001|0|0|>=2|1m0s|gather h:1 late 5s": row(columns.Queues(at), inspect.Queue{
			Name: "q", Type: "int", State: "open", Full: true, Waiting: 3, Requeued: 1001, Running: 2, AtLeast: true, Oldest: at.Add(-time.Minute), Gather: late,
		}),
		"w|h|2|live|4 slots, 1 stuck|7|1|f 8s src 3|f,g": row(columns.Workers(at), inspect.Worker{
			ID: "w", Host: "h", PID: 2, State: inspect.Live, Concurrency: 4, Stuck: 1, Done: 7, Failed: 1, Functions: []string{"f", "g"},
			Running: []inspect.Call{{Function: "f", Source: "src", Offset: 3, Since: at.Add(-8 * time.Second)}},
		}),
		"s|f|a|b|9|1.5/s|0|2.35ms|1s|0%|0%|1, 2 with other types, paused": row(columns.Stages(), inspect.Stage{
			ID: "s", Function: "f", In: []string{"a"}, Out: []string{"b"}, Done: 9, Rate: 1.5, P50: 2_345_678, P99: time.Second, Workers: 1, Others: 2, Paused: true,
		}),
		"src|q|away|5|-|0|dead gone|killed": row(columns.Sources(at), inspect.Source{
			Name: "src", Queue: "q", State: "away", Stored: 5, End: -1, By: &inspect.Process{ID: "gone", State: inspect.Dead}, Why: "killed",
		}),
		"orders|running|0|0|-|0/s|-|-|f is slow; 3 of 9 items of f have failed: dqbridge errors": row(columns.Flows(at), inspect.Flow{
			Name: "orders", State: "running", Bottleneck: &inspect.Bottleneck{Text: "f is slow"}, Failures: "3 of 9 items of f have failed: dqbridge errors",
		}),
		"old|done|0|0|-|0/s|-|-|3 of 9 items of f have failed: dqbridge errors": row(columns.Flows(at), inspect.Flow{
			Name: "old", State: "done", Failures: "3 of 9 items of f have failed: dqbridge errors",
		}),
		"orders|running|5|0|-|2.5/s|-|f|-": row(columns.Flows(at), inspect.Flow{Name: "orders", State: "running", Waiting: 5, RateOut: 2.5, Chain: []string{"f"}}),
		"s|f|a|b|0|0/s|0|-|-|0%|0%|0":      row(columns.Stages(), inspect.Stage{ID: "s", Function: "f", In: []string{"a"}, Out: []string{"b"}}),
		"held|q|1m0s|1|-|h:1 holds it":     row(columns.Locations(at), inspect.Location{State: "held", Queue: "q", Since: at.Add(-time.Minute), Attempts: 1, Text: "h:1 holds it"}),
	} {
		if got != want {
			t.Errorf("a row is %s, not %s", got, want)
		}
	}
}

// Numbers with a text are ordered by their value.
func TestRowsAreOrderedByValue(t *testing.T) {
	t.Parallel()
	for _, c := range columns.Stages() {
		if c.Head == "RATE" && c.Compare(inspect.Stage{Rate: 9}, inspect.Stage{Rate: 10}) >= 0 {
			t.Error("9/s is not less than 10/s")
		}
	}
}
