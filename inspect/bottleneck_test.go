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
	checkBottlenecks(t, map[string]planted{
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
		"reader takes nothing": {func(s *inspect.Snapshot) {
			s.Gathers[0].State, s.Gathers[0].Reader, s.Gathers[0].Held, s.Gathers[0].Since = inspect.Reader, 0.96, 20, now.Add(-40*time.Second)
		}, "reader out the program that gathers out takes no results: it has taken none for 40s, with 20 items in the memory of the gather and 0 in the queue"},
		"reader takes one now and then": {func(s *inspect.Snapshot) {
			s.Gathers[0].State, s.Gathers[0].Reader, s.Gathers[0].Held, s.Gathers[0].Since = inspect.Reader, 1, 20, now.Add(-9*time.Second)
		}, "reader out takes its results slowly"},
		"one item": {func(s *inspect.Snapshot) {
			s.Gathers[0].Held, s.Gathers[0].Wants = 20, &inspect.Wanted{Source: "s", Offset: 7, Since: now.Add(-20 * time.Second)}
			s.Workers[1].Running = []inspect.Call{{Stage: "mid", Function: "first", Source: "s", Offset: 6, Items: 3, Since: now.Add(-25 * time.Second)}}
		}, "item out has waited for offset 7 of source s for 20s, and holds 20 items that come after it; first (stage mid) has run it for 25s"},
		"one item behind others": {func(s *inspect.Snapshot) {
			s.Queues[1].Waiting, s.Stages[1].Recent = 500, work(300, 110*time.Second)
			s.Gathers[0].Held, s.Gathers[0].Wants = 20, &inspect.Wanted{Source: "s", Offset: 7, Since: now.Add(-20 * time.Second)}
		}, "slots out second holds it back: 367ms an item, 10/s on 4 slots, which work 100 % of their time; the gather of out has waited for offset 7"},
		"one item behind others, and slots are free": {func(s *inspect.Snapshot) {
			s.Queues[1].Waiting = 500
			s.Gathers[0].Held, s.Gathers[0].Wants = 20, &inspect.Wanted{Source: "s", Offset: 7, Since: now.Add(-20 * time.Second)}
		}, "item out has waited for offset 7 of source s for 20s, and holds 20 items that come after it"},
		"slots are free": {func(s *inspect.Snapshot) { s.Queues[0].Waiting = 500 }, "none"},
		"a short backlog": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[1].Recent = 9, work(300, 110*time.Second)
		}, "producer in"},
	})
}

// A used limit of a stage is named before slots that are used, and one that is not used never is.
func TestLimitIsNamed(t *testing.T) {
	t.Parallel()
	checkBottlenecks(t, map[string]planted{
		"limit of calls at once": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[0].Limits, s.Stages[0].MaxConcurrency, s.Stages[0].Recent = 500, "1 calls at once", 1, work(300, 28*time.Second)
		}, "limit mid the limit of first holds it back: 1 calls at once; it does 10 items a second, and 500 wait"},
		"limit of a rate, and no slot is free": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[0].Limits, s.Stages[0].MaxRate, s.Stages[0].Recent = 500, "10 calls in 1s", 10, work(300, 110*time.Second)
		}, "limit mid the limit of first holds it back: 10 calls in 1s"},
		"limit that is not reached": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[0].Limits, s.Stages[0].MaxRate, s.Stages[0].Recent = 500, "100 calls in 1s", 100, work(300, 110*time.Second)
		}, "slots mid first holds it back"},
		"limit of short calls": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Stages[0].Limits, s.Stages[0].MaxConcurrency = 500, "4 calls at once", 4
		}, "limit mid the limit of first holds it back: 4 calls at once"},
		"limit without a backlog": {func(s *inspect.Snapshot) {
			s.Stages[0].Limits, s.Stages[0].MaxRate = "10 calls in 1s", 10
		}, "producer in gives"},
	})
}

// If the main thread of Redis has no time left, Redis is the limit, except for a program that is slow by itself.
func TestBusyRedisIsNamed(t *testing.T) {
	t.Parallel()
	checkBottlenecks(t, map[string]planted{
		"Redis behind a slow stage": {func(s *inspect.Snapshot) {
			s.Redis = inspect.Load{Busy: 0.96, Length: 30 * time.Second}
			s.Queues[0].Waiting, s.Stages[0].Recent = 500, work(300, 115*time.Second)
		}, "redis mid Redis is the limit: its main thread works 96 % of its time; first holds it back"},
		"Redis behind free slots": {func(s *inspect.Snapshot) {
			s.Redis = inspect.Load{Busy: 0.96, Length: 30 * time.Second, Address: "r2:6379"}
			s.Queues[0].Waiting = 500
		}, "redis  Redis is the limit: its main thread works 96 % of its time, on r2:6379"},
		"Redis behind a producer that waits for it": {func(s *inspect.Snapshot) {
			s.Redis, s.Sources[0].Caller = inspect.Load{Busy: 0.96, Length: 30 * time.Second}, 0.1
		}, "redis in Redis is the limit: its main thread works 96 % of its time; the producer of in gives 10 items a second"},
		"slow producer beside a busy Redis": {func(s *inspect.Snapshot) {
			s.Redis = inspect.Load{Busy: 0.96, Length: 30 * time.Second}
		}, "producer in gives 10 items a second"},
		"slow reader beside a busy Redis": {func(s *inspect.Snapshot) {
			s.Redis = inspect.Load{Busy: 0.96, Length: 30 * time.Second}
			s.Queues[2].Waiting, s.Gathers[0].Reader = 100, 0.95
		}, "reader out the gather waits"},
		"Redis has time left": {func(s *inspect.Snapshot) {
			s.Redis = inspect.Load{Busy: 0.85, Length: 30 * time.Second}
			s.Queues[0].Waiting, s.Stages[0].Recent = 500, work(300, 115*time.Second)
		}, "slots mid first holds it back"},
	})
}

// A planted cause has a bottleneck: its kind, its stage or queue, and a part of its text.
type planted struct {
	plant func(s *inspect.Snapshot)
	want  string
}

func checkBottlenecks(t *testing.T, causes map[string]planted) {
	t.Helper()
	for name, c := range causes {
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

// A share that has named a bottleneck names it until it is clearly below its border.
func TestNamedBottleneckStaysNearItsBorder(t *testing.T) {
	t.Parallel()
	told := busyFlow()
	told.Queues[0].Waiting, told.Stages[0].Recent = 500, work(300, 100*time.Second)
	known := told.Flows()
	for busy, kind := range map[time.Duration]string{90 * time.Second: inspect.FewSlots, 75 * time.Second: ""} {
		s := busyFlow()
		s.Queues[0].Waiting, s.Stages[0].Recent = 500, work(300, busy)
		got := ""
		if b := s.FlowsAfter(known)[0].Bottleneck; b != nil {
			got = b.Kind
		}
		if b := s.Flows()[0].Bottleneck; got != kind || b != nil {
			t.Errorf("%v: %q after it was named, %+v otherwise", busy, got, b)
		}
	}
}

// A flow in which no item was done for a while is stuck for the first reason that holds.
func TestStuckFlowsHaveTheirReason(t *testing.T) {
	t.Parallel()
	long := func(stage string, ago time.Duration) inspect.Call {
		return inspect.Call{Stage: stage, Function: "first", Source: "s", Offset: 4, Since: now.Add(-ago)}
	}
	checkStandstills(t, map[string]standstill{
		"paused":    {func(s *inspect.Snapshot) { s.Stages[0].Paused = true }, "paused", "stage mid (first)", "gather"},
		"no worker": {func(s *inspect.Snapshot) { s.Stages[0].Workers = 0 }, "stuck", "no worker has the function", "start a worker"},
		"misspelled": {func(s *inspect.Snapshot) {
			s.Stages[0].Workers, s.Stages[0].Function = 0, "fisrt"
		}, "stuck", "no worker has the function of stage mid (fisrt); workers have first", "dqbridge map --replace first in mid, or start a worker"},
		"only a silent worker has it": {func(s *inspect.Snapshot) {
			s.Stages[0].Workers, s.Stages[0].Function, s.Workers = 0, "fisrt", s.Workers[:1]
			s.Workers[0].State = inspect.Silent
		}, "stuck", "no worker has the function of stage mid (fisrt)", "start a worker with the function"},
		"other types": {func(s *inspect.Snapshot) { s.Stages[0].Workers, s.Stages[0].Others = 0, 2 }, "stuck", "with other types", "--replace"},
		"all slots hang": {func(s *inspect.Snapshot) {
			for i := range s.Workers {
				s.Workers[i].Running = []inspect.Call{long("x", 4*time.Minute), long("x", 3*time.Minute)}
			}
			s.Workers[1].Running[1] = inspect.Call{Stage: "x", Function: "first", Source: "s", Offset: 9, Since: now.Add(-time.Hour)}
			s.Stages = append(s.Stages, inspect.Stage{ID: "x", Function: "first", In: []string{"y"}, Out: []string{"z"}, P99: 8 * time.Second, Workers: 2, Slots: 4})
		}, "stuck", "all 4 slots that can run stage mid (first) run one item each for more than 1m0s; the longest is stage x (first), source s, offset 9", "give the stage a timeout: dqbridge map --replace --timeout 40s first y z, or executor.Timeout; then cancel what runs: dqbridge cancel s 9; dqbridge cancel s 4; dqbridge cancel s 4"},
		"the only slot hangs": {func(s *inspect.Snapshot) {
			s.Workers = s.Workers[:1]
			s.Workers[0].Concurrency, s.Workers[0].Running = 1, []inspect.Call{long("mid", 2*time.Minute)}
		}, "stuck", "the only slot that can run stage mid (first) runs one item for more than 1m0s: stage mid (first), source s, offset 4", "dqbridge map --replace --timeout 30s first in mid"},
		"one call hangs": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Workers[0].Running = 0, []inspect.Call{long("mid", 2*time.Minute)}
		}, "stuck", "a call of first has run for 2m0s: source s, offset 4", "give the stage a timeout: dqbridge map --replace --timeout 30s first in mid, or executor.Timeout; then cancel what runs: dqbridge cancel s 4"},
		"full, not gathered": {func(s *inspect.Snapshot) {
			s.Queues[1].Waiting, s.Queues[1].Oldest, s.Queues[2].Full, s.Queues[2].Consumer = 5, now.Add(-time.Minute), true, ""
		}, "stuck", "queue out is full, and no program gathers it", "delete"},
		"delayed": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Queues[0].Delayed = 0, 9
		}, "stuck", "all 9 items that wait have failed", "dqbridge errors"},
		"its program takes nothing": {func(s *inspect.Snapshot) {
			s.Gathers[0].State, s.Gathers[0].Reader, s.Gathers[0].Held, s.Gathers[0].Since = inspect.Reader, 1, 20, now.Add(-50*time.Second)
		}, "stuck", "the program that gathers out takes no results: it has taken none for 50s", "look at what that program does"},
		"suspects":     {func(s *inspect.Snapshot) { s.Queues[0].Suspects = 3 }, "stuck", "died with each of 3 items", "logs"},
		"slow at work": {func(s *inspect.Snapshot) { s.Stages[0].P99 = time.Minute }, "running", "", ""},
		"new items":    {func(s *inspect.Snapshot) { s.Queues[0].Oldest = now.Add(-20 * time.Second) }, "running", "", ""},
		"it works":     {func(s *inspect.Snapshot) { s.Stages[1].Recent = work(1, 0) }, "running", "", ""},
	})
}

// A stage that cannot go on is not the reason if the stage behind it waits for something.
func TestReasonIsThatOfTheStageThatWaits(t *testing.T) {
	t.Parallel()
	checkStandstills(t, map[string]standstill{
		"full, and a stage reads": {func(s *inspect.Snapshot) {
			s.Queues[0].Waiting, s.Queues[1].Waiting, s.Queues[1].Full = 5, 5, true
			s.Queues[1].Suspects = 3
		}, "stuck", "died with each of 3 items", "logs"},
		"limit": {func(s *inspect.Snapshot) {
			s.Stages[0].Limits, s.Stages[0].MaxRate = "1 calls in 1h0m0s", 1.0/3600
		}, "waiting", "stage mid (first) waits for its limit: 1 calls in 1h0m0s", "higher limit"},
		"hanging call of a stage with a limit": {func(s *inspect.Snapshot) { // --replace would drop the limit
			s.Queues[0].Waiting, s.Stages[0].Limits, s.Stages[0].MaxConcurrency = 0, "1 calls at once", 1
			s.Workers[0].Running = []inspect.Call{{Stage: "mid", Function: "first", Source: "s", Offset: 4, Since: now.Add(-2 * time.Minute)}}
		}, "stuck", "a call of first has run for 2m0s", "give the stage a timeout: executor.Timeout; then cancel"},
		"limit behind a full queue": {func(s *inspect.Snapshot) {
			s.Queues[1].Waiting, s.Queues[1].Full = 5, true
			s.Stages[1].Limits, s.Stages[1].MaxRate = "1 calls in 1h0m0s", 1.0/3600
		}, "waiting", "stage out (second) waits for its limit: 1 calls in 1h0m0s", "higher limit"},
	})
}

// A standstill has a state with its reason and remedy.
type standstill struct {
	plant              func(s *inspect.Snapshot)
	state, why, remedy string
}

// checkStandstills looks at the flow of busyFlow, which has not worked for half a minute.
func checkStandstills(t *testing.T, causes map[string]standstill) {
	t.Helper()
	for name, c := range causes {
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

// A flow that gets no items, since all sources that have not ended are away, says so.
func TestIdleFlowNamesSourcesThatAreAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sources []inspect.Source
		why     string
	}{
		"away": {[]inspect.Source{{Name: "s", Queue: "in", State: inspect.Away, Why: "its process died: executor e, process 3 on h"}}, "source s is away: its process died: executor e, process 3 on h"},
		"another one has ended": {
			[]inspect.Source{{Name: "b", Queue: "in", State: inspect.Away, Why: "x"}, {Name: "c", Queue: "in", State: inspect.Ended}, {Name: "a", Queue: "in", State: inspect.Away, Why: "y"}},
			"source a is away: y",
		},
		"another one is open": {[]inspect.Source{{Name: "s", Queue: "in", State: inspect.Away}, {Name: "t", Queue: "in", State: inspect.Open}}, ""},
		"none":                {nil, ""},
	} {
		s := busyFlow()
		s.Queues[0].Running, s.Sources = 0, c.sources
		for i := range s.Stages {
			s.Stages[i].Recent = inspect.Work{}
		}
		if f := s.Flows()[0]; f.State != "idle" || f.Why != c.why || (f.Remedy == inspect.AwayRemedy) != (c.why != "") {
			t.Errorf("%s: %s, %q, %q", name, f.State, f.Why, f.Remedy)
		}
	}
}

// A flow whose stages have nothing left says that its program takes no results.
func TestFlowOfProgramThatTakesNothingSaysSo(t *testing.T) {
	t.Parallel()
	for state, running := range map[string]int64{"running": 9, "waiting": 0} {
		s := busyFlow()
		for i := range s.Stages {
			s.Stages[i].Recent = inspect.Work{}
		}
		s.Queues[0].Running, s.Queues[2].Running, s.Queues[2].Waiting = 0, running, 5
		s.Gathers[0].State, s.Gathers[0].Reader, s.Gathers[0].Since = inspect.Reader, 1, now.Add(-40*time.Second)
		if f := s.Flows()[0]; f.State != state || !strings.Contains(f.Why, "the program that gathers out takes no results: it has taken none for 40s") || f.Remedy == "" {
			t.Errorf("%s: %s, %q, %q", state, f.State, f.Why, f.Remedy)
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

// A queue need not be sealed for that: it is enough that no program scatters.
func TestETAOfFlowWhoseSourcesHaveEnded(t *testing.T) {
	t.Parallel()
	s := busyFlow()
	s.Queues[0].Waiting, s.Queues[0].Running, s.Sources[0].State = 500, 100, inspect.Ended
	if f := s.Flows()[0]; f.ETA != time.Minute {
		t.Errorf("600 items at 10/s take %v", f.ETA)
	}
}

// A flow tells how many items have failed, once they are more than one in twenty.
func TestFlowCountsItsFailures(t *testing.T) {
	t.Parallel()
	s := busyFlow()
	s.Stages[0].Done, s.Stages[0].Failed, s.Stages[1].Done, s.Stages[1].Failed = 100, 5, 100, 5
	if f := s.Flows()[0]; f.Failures != "" {
		t.Errorf("one in twenty has failed: %q", f.Failures)
	}
	s.Stages[1].Failed = 6
	if f := s.Flows()[0]; f.Failures != "6 of 100 items of second have failed: dqbridge errors" {
		t.Errorf("more than one in twenty have failed: %q", f.Failures)
	}
}

// A last stage that has had no turn lately does not change the time that is left: it is that of the
// calls to come, over those of a second.
func TestETACountsTimeOfCalls(t *testing.T) {
	t.Parallel()
	s := busyFlow()
	for i := range s.Queues {
		s.Queues[i].State = inspect.Ended
	}
	s.Queues[0].Waiting, s.Queues[0].Running, s.Queues[1].Waiting = 300, 0, 100
	s.Stages[0].Cost, s.Stages[1].Cost = 300*time.Millisecond, 75*time.Millisecond
	for rate, want := range map[float64]time.Duration{0: 40 * time.Second, 40: 20 * time.Second} { // 120 s of calls
		if s.Stages[1].Rate = rate; s.Flows()[0].ETA != want {
			t.Errorf("at %v/s of the last stage it says %v, not %v", rate, s.Flows()[0].ETA, want)
		}
	}
	s.Stages[1].Rate, s.Queues[0].AtLeast, s.Queues[0].Inputs, s.Queues[1].Inputs = 0, true, 900, 300
	if f := s.Flows()[0]; f.ETA != 77500*time.Millisecond { // 600 of the first stage, 700 of the second
		t.Errorf("of a queue with more batches than were read it says %v", f.ETA)
	}
	s.Stages[0].Rate, s.Stages[1].Rate = 0, 0
	if f := s.Flows()[0]; f.ETA != 0 {
		t.Errorf("without a rate: %v", f.ETA)
	}
}
