package inspect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

var now = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// work returns the work of the last 30 s of a stage that has done n items in the given time of slots.
func work(n int64, busy time.Duration) inspect.Work {
	return inspect.Work{Start: now.Add(-30 * time.Second), Length: 30 * time.Second, Done: n, Busy: busy}
}

// busyFlow is a flow of two stages without a backlog, whose four slots work a part of their time.
func busyFlow() inspect.Snapshot {
	return inspect.Snapshot{
		At: now,
		Queues: []inspect.Queue{
			{Name: "in", State: inspect.Open, Sources: 1, Added: 300, Consumer: "stage:mid", Running: 1},
			{Name: "mid", State: inspect.Open, Added: 300, Consumer: "stage:out", From: []string{"in"}},
			{Name: "out", State: inspect.Open, Added: 300, Consumer: "gather:e", From: []string{"in"}, Gather: &inspect.Process{ID: "e", State: inspect.Live}},
		},
		Stages: []inspect.Stage{
			{ID: "mid", Function: "first", In: []string{"in"}, Out: []string{"mid"}, Workers: 2, Slots: 4, Rate: 10, Recent: work(300, 15*time.Second)},
			{ID: "out", Function: "second", In: []string{"mid"}, Out: []string{"out"}, Workers: 2, Slots: 4, Rate: 10, Recent: work(300, 15*time.Second)},
		},
		Workers: []inspect.Worker{
			{ID: "w1", State: inspect.Live, Concurrency: 2, Functions: []string{"first", "second"}},
			{ID: "w2", State: inspect.Live, Concurrency: 2, Functions: []string{"first", "second"}},
		},
		Gathers: []inspect.Gather{{Queue: "out", State: inspect.Open, By: inspect.Process{ID: "e", State: inspect.Live}}},
		Sources: []inspect.Source{{Name: "s", Queue: "in", State: inspect.Open, Caller: 0.9}},
	}
}

// Each planted cause is named, with the stage or the queue where it is.
func TestBottleneckIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(s *inspect.Snapshot)
		want  string // kind, stage or queue, and a part of the text
	}{
		"slow producer": {func(*inspect.Snapshot) {}, "producer in gives 10 items a second; the slots work 25 %"},
		"slow first stage": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[0].Recent = 500, work(300, 100*time.Second)
			s.Stages[1].Recent.Busy = 10 * time.Second
		}, "slots mid first holds it back: 333ms an item, 10/s on 4 slots"},
		"slow second stage": {func(s *inspect.Snapshot) {
			s.Queues[1].Waiting, s.Stages[1].Recent = 500, work(300, 100*time.Second)
			s.Stages[0].Recent.Busy = 10 * time.Second
		}, "slots out second holds it back"},
		"slow second stage, fused": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[1].Recent = 500, work(300, 100*time.Second)
			s.Queues[1].Added, s.Queues[1].Fused = 10, 290
			s.Stages[0].Recent.Busy = 10 * time.Second
		}, "slots out second holds it back"},
		"full queue behind a slow stage": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Queues[1].Waiting, s.Queues[1].Full = 500, 5, true
			s.Stages[1].Recent = work(300, 110*time.Second)
		}, "slots out second holds it back"},
		"slots busy elsewhere": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Queues[0].Running = 500, 1
			s.Queues = append(s.Queues, inspect.Queue{Name: "other", State: inspect.Open, Waiting: 5})
			s.Stages = append(s.Stages, inspect.Stage{ID: "x", Function: "first", In: []string{"other"}, Workers: 2, Slots: 4, Recent: work(1, 100*time.Second)})
		}, "elsewhere mid first waits for slots: most of them run first (stage x)"},
		"slow reader": {func(s *inspect.Snapshot) {
			s.Queues[2].Waiting, s.Queues[0].Waiting, s.Gathers[0].Reader, s.Gathers[0].Held = 100, 500, 0.95, 20
		}, "reader out the gather waits for it 95 % of the time, with 20 items in its memory and 100 in the queue"},
		"one item": {func(s *inspect.Snapshot) {
			s.Gathers[0].Held, s.Gathers[0].Wants = 20, &inspect.Wanted{Source: "s", Offset: 7, Since: now.Add(-20 * time.Second)}
			s.Workers[1].Running = []inspect.Call{{Stage: "mid", Function: "first", Source: "s", Offset: 6, Items: 3, Since: now.Add(-25 * time.Second)}}
		}, "item out has waited for offset 7 of source s for 20s, and holds 20 items that come after it; first (stage mid) has run it for 25s"},
		"slots are free": {func(s *inspect.Snapshot) { s.Queues[0].Waiting = 500 }, "none"},
		"a short backlog": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[1].Recent = 9, work(300, 110*time.Second)
		}, "producer in"},
	} {
		s := busyFlow()
		c.plant(&s)
		b, got := s.Flows()[0].Bottleneck, "none"
		if b != nil {
			got = b.Kind + " " + b.Stage + b.Queue + " " + b.Text
			if b.Remedy == "" {
				t.Errorf("%s: no remedy", name)
			}
		}
		kind, rest, _ := strings.Cut(c.want, " ")
		where, text, _ := strings.Cut(rest, " ")
		if !strings.HasPrefix(got, strings.TrimSpace(kind+" "+where)) || !strings.Contains(got, text) {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

// A flow in which no item was done for a while is stuck for the first reason that holds.
func TestStuckFlowsHaveTheirReason(t *testing.T) {
	t.Parallel()
	long := func(stage string, ago time.Duration) inspect.Call {
		return inspect.Call{Stage: stage, Function: "first", Source: "s", Offset: 4, Since: now.Add(-ago)}
	}
	for name, c := range map[string]struct {
		plant              func(s *inspect.Snapshot)
		state, why, remedy string
	}{
		"paused":      {func(s *inspect.Snapshot) { s.Stages[0].Paused = true }, "paused", "stage mid (first)", "gather"},
		"no worker":   {func(s *inspect.Snapshot) { s.Stages[0].Workers = 0 }, "stuck", "no worker has the function", "start a worker"},
		"other types": {func(s *inspect.Snapshot) { s.Stages[0].Workers, s.Stages[0].Others = 0, 2 }, "stuck", "with other types", "--replace"},
		"all slots hang": {func(s *inspect.Snapshot) {
			for i := range s.Workers {
				s.Workers[i].Running = []inspect.Call{long("x", 2*time.Minute), long("x", 90*time.Second)}
			}
			s.Stages = append(s.Stages, inspect.Stage{ID: "x", Function: "first", In: []string{"y"}, Workers: 2, Slots: 4})
		}, "stuck", "all 4 slots that can run stage mid (first) run one item for more than 1m0s: stage x (first), source s, offset 4", "dqbridge cancel s 4"},
		"one call hangs": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Workers[0].Running = 0, []inspect.Call{long("mid", 2*time.Minute)}
		}, "stuck", "a call of first has run for 2m0s: source s, offset 4", "dqbridge cancel s 4"},
		"full, not gathered": {func(s *inspect.Snapshot) {
			s.Queues[1].Waiting, s.Queues[1].Oldest, s.Queues[2].Full, s.Queues[2].Consumer = 5, now.Add(-time.Minute), true, ""
		}, "stuck", "queue out is full, and no program gathers it", "delete"},
		"delayed": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Queues[0].Delayed = 0, 9
		}, "stuck", "all 9 items that wait have failed", "dqbridge errors"},
		"suspects":     {func(s *inspect.Snapshot) { s.Queues[0].Suspects = 3 }, "stuck", "died with each of 3 items", "logs"},
		"slow at work": {func(s *inspect.Snapshot) { s.Stages[0].P99 = time.Minute }, "running", "", ""},
		"new items":    {func(s *inspect.Snapshot) { s.Queues[0].Oldest = now.Add(-20 * time.Second) }, "running", "", ""},
		"it works":     {func(s *inspect.Snapshot) { s.Stages[1].Recent = work(1, 0) }, "running", "", ""},
	} {
		s := busyFlow()
		s.Queues[0].Waiting, s.Queues[0].Oldest = 10, now.Add(-time.Minute)
		for i := range s.Stages {
			s.Stages[i].Recent = inspect.Work{}
		}
		c.plant(&s)
		f := s.Flows()[0]
		if f.State != c.state || !strings.Contains(f.Why, c.why) || c.why == "" && f.Why != "" || !strings.Contains(f.Remedy, c.remedy) {
			t.Errorf("%s: %s, %q, %q", name, f.State, f.Why, f.Remedy)
		}
	}
}

// The time that is left is that of all items in front of the last stage, if none will be added.
func TestETACountsAllItemsInFrontOfTheLastStage(t *testing.T) {
	t.Parallel()
	s := busyFlow()
	if f := s.Flows()[0]; f.ETA != 0 || f.RateIn != 10 || f.RateOut != 10 {
		t.Errorf("while the source is open: %v, %v in, %v out", f.ETA, f.RateIn, f.RateOut)
	}
	for i := range s.Queues {
		s.Queues[i].State = inspect.Ended
	}
	s.Queues[0].Waiting, s.Queues[0].Running, s.Queues[1].Delayed, s.Queues[2].Waiting = 500, 4, 96, 1000
	if f := s.Flows()[0]; f.ETA != time.Minute {
		t.Errorf("600 items at 10/s take %v", f.ETA)
	}
	s.Stages[1].Rate = 0
	if f := s.Flows()[0]; f.ETA != 0 {
		t.Errorf("without a rate: %v", f.ETA)
	}
}
