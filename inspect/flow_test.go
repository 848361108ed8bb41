package inspect_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// Flows are joined by merges and divided by multiplexes; the order is from the sources on.
func TestFlowsFollowMergesAndBranches(t *testing.T) {
	t.Parallel()
	at := func(partition int, id, function, in string, out ...string) inspect.Stage {
		return inspect.Stage{ID: id, Function: function, Kind: "copy", In: []string{in}, Out: out, Workers: 1, Partition: partition}
	}
	s := inspect.Snapshot{
		Queues: []inspect.Queue{
			{Name: "a", State: "open"}, {Name: "b", State: "ended"}, {Name: "c", State: "open"}, {Name: "d", State: "open"}, {Name: "e", State: "open"},
			{Name: "x", State: "ended", Partition: 1}, {Name: "z", State: "ended"},
		},
		// z is in no flow of these: a stage of another partition has the same names.
		Stages: []inspect.Stage{at(0, "3", "last", "d", "e"), at(0, "1", "f", "a", "c"), at(0, "2", "", "b", "c"), at(0, "4", "g", "c", "d"), at(1, "5", "h", "x", "z")},
	}
	var got []string
	for _, f := range s.Flows() {
		got = append(got, f.Name+" "+f.State+": "+strings.Join(f.Queues, ",")+" "+strings.Join(f.Chain, ">"))
	}
	if want := []string{"a idle: a,b,c,d,e f>copy>g>last", "x done: x h", "z done: z "}; !slices.Equal(got, want) {
		t.Errorf("the flows are %q, not %q", got, want)
	}
}

// The age of a flow is that of the item in it that was scattered first.
func TestFlowIsAsOldAsItsOldestItem(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := inspect.Snapshot{
		Queues: []inspect.Queue{
			{Name: "a", Oldest: now.Add(-time.Minute), OldestScattered: now.Add(-time.Minute)},
			{Name: "b", Oldest: now, OldestScattered: now.Add(-time.Hour)}, {Name: "c"},
		},
		Stages: []inspect.Stage{{ID: "1", In: []string{"a"}, Out: []string{"b"}}, {ID: "2", In: []string{"b"}, Out: []string{"c"}}},
	}
	if f := s.Flows(); len(f) != 1 || !f[0].Oldest.Equal(now.Add(-time.Minute)) || !f[0].OldestScattered.Equal(now.Add(-time.Hour)) {
		t.Errorf("the flows are %+v", f)
	}
}
