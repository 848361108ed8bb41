package watch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
)

var epoch = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// A scene is a namespace that a test changes between two looks.
type scene struct {
	executor.Inspector
	snapshot inspect.Snapshot
	server   inspect.Server
	later    []inspect.Node // that the server has after the next read, unless they are nil
	err      error
}

func (s *scene) Snapshot(context.Context) (inspect.Snapshot, error)   { return s.snapshot, s.err }
func (s *scene) Errors(context.Context) ([]inspect.ErrorGroup, error) { return nil, nil }

func (s *scene) Server(context.Context) (inspect.Server, error) {
	found := s.server
	if s.later != nil {
		s.server.Nodes, s.later = s.later, nil
	}
	return found, nil
}

// busy returns a flow of one stage with a backlog, whose four slots work a part of their time.
func busy(share float64) inspect.Snapshot {
	work := inspect.Work{Start: epoch.Add(-30 * time.Second), Length: 30 * time.Second, Done: 300, Busy: time.Duration(share * 120 * float64(time.Second))}
	return inspect.Snapshot{
		At: epoch,
		Queues: []inspect.Queue{
			{Name: "in", State: inspect.Open, Waiting: 500, Running: 4, Consumer: "stage:s", Oldest: epoch.Add(-time.Second)},
			{Name: "out", State: inspect.Open, Consumer: "gather:e", From: []string{"in"}, Gather: &inspect.Process{ID: "e", State: inspect.Live}},
		},
		Stages:  []inspect.Stage{{ID: "s", Function: "f", In: []string{"in"}, Out: []string{"out"}, Workers: 1, Slots: 4, Rate: 10, Recent: work}},
		Workers: []inspect.Worker{{ID: "w", Host: "h", PID: 2, State: inspect.Live, Concurrency: 4, Functions: []string{"f"}}},
		Sources: []inspect.Source{{Name: "src", Queue: "in", State: inspect.Open, End: -1}},
	}
}

// cause returns the cause of the first flow in a view.
func cause(v watch.View) string {
	f := v.Flows()[0]
	if f.Bottleneck != nil {
		return f.State + " " + f.Bottleneck.Kind
	}
	return strings.TrimSpace(f.State + " " + f.Why)
}

// causes looks at a number of snapshots in turn.
func causes(t *testing.T, snapshots ...inspect.Snapshot) (told []string) {
	t.Helper()
	s := &scene{}
	l := watch.NewLooker(s)
	for _, s.snapshot = range snapshots {
		v, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, cause(v))
	}
	return told
}

// The name of a bottleneck does not come and go with a share that moves around its border, whether it
// begins below or above it.
func TestBottleneckNearItsBorderStays(t *testing.T) {
	t.Parallel()
	moving := []float64{0.91, 0.89, 0.92, 0.88, 0.88, 0.91, 0.86, 0.87, 0.93, 0.89, 0.89, 0.89}
	var above []inspect.Snapshot
	for _, share := range moving {
		above = append(above, busy(share))
	}
	if told := causes(t, above...); len(slices.Compact(told)) != 1 || told[0] != "running slots" {
		t.Errorf("from above: %q", told)
	}
	var below []inspect.Snapshot
	for i := range 12 {
		below = append(below, busy(0.89+0.02*float64(i%2)))
	}
	if told := causes(t, below...); len(slices.Compact(told)) != 1 || told[0] != "running" {
		t.Errorf("from below: %q", told)
	}
}

// Of two stages that take nearly the same time, the one that was named first stays, until the other one
// takes clearly more.
func TestBottleneckIsNotTakenOverByItsLike(t *testing.T) {
	t.Parallel()
	two := func(first, second float64) inspect.Snapshot {
		s := busy(first)
		other := s.Stages[0]
		other.ID, other.In, other.Out = "t", []string{"out"}, []string{"end"}
		other.Recent.Busy = time.Duration(second * 120 * float64(time.Second))
		s.Stages = append(s.Stages, other)
		s.Queues = append(s.Queues, inspect.Queue{Name: "end", State: inspect.Open, From: []string{"in"}})
		return s
	}
	s := &scene{}
	l := watch.NewLooker(s)
	for i, share := range []struct {
		first, second float64
		named         string
	}{{0.51, 0.49, "s"}, {0.49, 0.51, "s"}, {0.48, 0.52, "s"}, {0.49, 0.51, "s"}, {0.3, 0.7, "s"}, {0.3, 0.7, "t"}, {0.49, 0.51, "t"}, {0.51, 0.49, "t"}, {0.51, 0.49, "t"}} {
		s.snapshot = two(share.first, share.second)
		v, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b := v.Flows()[0].Bottleneck; b == nil || b.Stage != share.named {
			t.Errorf("look %d: %+v, not stage %s", i, b, share.named)
		}
	}
}

// A change shows at the second look, with the figures of that look. A pause shows at once.
func TestChangeShowsAfterTwoLooks(t *testing.T) {
	t.Parallel()
	none, paused := busy(1), busy(1)
	none.Stages[0].Workers, none.Workers = 0, nil
	paused.Stages[0].Paused, paused.Stages[0].Pause = true, &inspect.Pause{By: "me", Why: "repair"}
	told := causes(t, busy(1), none, busy(1), none, none, paused, busy(1), none, busy(0.2), busy(0.2))
	stuck := "stuck no worker has the function of stage s (f)"
	want := []string{
		"running slots", "running slots", "running slots", "running slots", stuck, "paused stage s (f), by me: repair", "running slots", "running slots",
		"running slots", "running",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, not %q", told, want)
	}
}

// A flow that is gone is forgotten: a later one of its name is told as it is at the first look.
func TestFlowThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	none := busy(1)
	none.Stages[0].Workers, none.Workers = 0, nil
	if told := causes(t, busy(1), inspect.Snapshot{At: epoch, Queues: []inspect.Queue{{Name: "other", State: inspect.Ended}}}, none); told[2] != "stuck no worker has the function of stage s (f)" {
		t.Errorf("told %q", told)
	}
}

// A finding comes with the second look that has it, and goes with the second one without it.
func TestFindingsComeAndGoAfterTwoLooks(t *testing.T) {
	t.Parallel()
	s := &scene{snapshot: busy(0.5)}
	l := watch.NewLooker(s)
	for i, look := range []struct{ letters, told int }{{0, 0}, {3, 0}, {0, 0}, {4, 0}, {5, 5}, {0, 5}, {6, 6}, {0, 6}, {0, 0}, {7, 0}} {
		s.snapshot.Letters = int64(look.letters)
		v, err := l.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var told []doctor.Finding
		for _, f := range v.Findings() {
			if f.ID == "D12" {
				told = append(told, f)
			}
		}
		if len(told) != 1 || told[0].IsFault() != (look.told > 0) || look.told > 0 && !strings.Contains(told[0].Text, fmt.Sprint(look.told, " dead letters")) {
			t.Errorf("look %d: %+v", i, told)
		}
	}
}

// The load is that of the busiest server over half a minute. A server that was restarted begins anew.
func TestLoadIsThatOfTheBusiestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{snapshot: busy(1), server: inspect.Server{Nodes: []inspect.Node{{Address: "a", Run: "1", MainCPU: time.Hour}, {Address: "b", Run: "2", MainCPU: time.Minute}}}}
		l := watch.NewLooker(s)
		look := func(first, second time.Duration) inspect.Load {
			<-time.After(2 * time.Second)
			s.server.Nodes = slices.Clone(s.server.Nodes)
			s.server.Nodes[0].MainCPU += first
			s.server.Nodes[1].MainCPU += second
			v, err := l.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return v.Snapshot.Redis
		}
		if load := look(0, 0); load != (inspect.Load{}) {
			t.Errorf("after one look: %+v", load)
		}
		if load := look(time.Second, 1900*time.Millisecond); load != (inspect.Load{Busy: 0.95, Length: 2 * time.Second, Address: "b"}) {
			t.Errorf("of the busier one: %+v", load)
		}
		s.server.Nodes[1] = inspect.Node{Address: "b", Run: "3", MainCPU: time.Second}
		if load := look(time.Second, 0); load != (inspect.Load{Busy: 0.5, Length: 4 * time.Second, Address: "a"}) {
			t.Errorf("after a restart of the other one: %+v", load)
		}
		for range 30 {
			look(0, 2*time.Second)
		}
		if load := look(0, 2*time.Second); load != (inspect.Load{Busy: 1, Length: 30 * time.Second, Address: "b"}) {
			t.Errorf("after a minute: %+v", load)
		}
	})
}

// A single look learns how busy Redis is, if items wait.
func TestOneLookLearnsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{snapshot: busy(1), server: inspect.Server{Nodes: []inspect.Node{{Run: "1", MainCPU: time.Hour}}}}
		began := time.Now()
		s.later = []inspect.Node{{Run: "1", MainCPU: time.Hour + 970*time.Millisecond}}
		v, err := watch.NewLooker(s).Once(t.Context())
		if err != nil || time.Since(began) != time.Second {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
		b := v.Flows()[0].Bottleneck
		if b == nil || b.Kind != inspect.BusyRedis || b.Stage != "s" || !strings.HasPrefix(b.Text, "Redis is the limit: its main thread works 97 % of its time; f holds it back: ") {
			t.Errorf("found %+v", b)
		}
		s.snapshot.Queues[0].Waiting = 0
		if v, err = watch.NewLooker(s).Once(t.Context()); err != nil || time.Since(began) != time.Second || v.Snapshot.Redis.Length != 0 {
			t.Errorf("without waiting items: %+v, %v, after %v", v.Snapshot.Redis, err, time.Since(began))
		}
	})
}
