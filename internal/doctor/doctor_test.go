package doctor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// well returns facts without a fault.
func well() doctor.Facts {
	return doctor.Facts{
		Snapshot: inspect.Snapshot{
			At: now,
			Queues: []inspect.Queue{
				{Name: "in", State: "open", Waiting: 3, Oldest: now.Add(-time.Minute), Consumer: "stage:s"},
				{Name: "out", State: "open", From: []string{"in"}, Consumer: "gather:g", Gather: &inspect.Process{ID: "x", Host: "h", PID: 1, State: "live", Seen: now}},
			},
			Stages:    []inspect.Stage{{ID: "s", Kind: "map", Function: "f", In: []string{"in"}, Out: []string{"out"}, Workers: 1, Recent: inspect.Work{Done: 9, Length: 30 * time.Second}}},
			Sources:   []inspect.Source{{Name: "src", Queue: "in", State: "open", End: -1, By: &inspect.Process{Host: "h", PID: 1, State: "live", Seen: now}}},
			Workers:   []inspect.Worker{{ID: "w", Host: "h", PID: 2, State: "live", Concurrency: 2, Functions: []string{"f"}, Seen: now}},
			Executors: []inspect.Process{{ID: "x", Host: "h", PID: 1, State: "live", Seen: now}},
			Redis:     inspect.Load{Busy: 0.4, Length: 30 * time.Second},
		},
		Server: inspect.Server{
			Version: "7.0.15", RoundTrip: time.Millisecond, Memory: 1 << 30, MaxMemory: 8 << 30, Policy: "noeviction", AppendOnly: true, Snapshots: true,
			Clients: 10, MaxClients: 10000,
		},
		Rights:   &doctor.Rights{Users: []string{"dq-worker"}},
		Payloads: &doctor.Payloads{Sampled: 300},
	}
}

func TestNothingIsFoundWhereAllIsWell(t *testing.T) {
	t.Parallel()
	found := doctor.Examine(well())
	if len(found) != len(doctor.Checks()) || doctor.Worst(found) != doctor.OK {
		t.Errorf("found %+v", found)
	}
	for _, f := range found {
		if f.Level != doctor.OK || f.Text == "" || f.Name == "" {
			t.Errorf("found %+v", f)
		}
	}
}

var faults = []struct {
	id    string
	level doctor.Level
	text  string
	plant func(f *doctor.Facts)
}{
	{"D1", doctor.Warn, "a round trip takes 50ms", func(f *doctor.Facts) { f.Server.RoundTrip = 50 * time.Millisecond }},
	{"D2", doctor.Fail, "has version 6.0.16", func(f *doctor.Facts) { f.Server.Version = "6.0.16" }},
	{"D2", doctor.Fail, "has version 5.1.0", func(f *doctor.Facts) { f.Server.Version = "5.1.0" }},
	{"D3", doctor.Fail, "its policy is allkeys-lru", func(f *doctor.Facts) { f.Server.Policy = "allkeys-lru" }},
	{"D3", doctor.Warn, "its policy is volatile-ttl", func(f *doctor.Facts) { f.Server.Policy, f.Server.MaxMemory = "volatile-ttl", 0 }},
	{"D4", doctor.Fail, "is full: 8.0 GiB of 8.0 GiB", func(f *doctor.Facts) { f.Server.Memory = 8 << 30 }},
	{"D4", doctor.Fail, "is full: 8.0 GiB of 8.0 GiB", func(f *doctor.Facts) { f.Server.Memory = 8<<30 - 3<<20 }},
	{"D4", doctor.Warn, "7.0 GiB of 8.0 GiB", func(f *doctor.Facts) { f.Server.Memory = 7 << 30 }},
	{"D4", doctor.Warn, "; the largest queue is out with 5.0 GiB", func(f *doctor.Facts) {
		f.Server.Memory, f.Snapshot.Queues[0].Bytes, f.Snapshot.Queues[1].Bytes = 7<<30, 1<<30, 5<<30
	}},
	{"D5", doctor.Warn, "no replica", func(f *doctor.Facts) { f.Server.AppendOnly = false }},
	{"D5", doctor.Warn, "without its replicas", func(f *doctor.Facts) { f.Server.AppendOnly, f.Server.Replicas = false, 1 }},
	{"D5", doctor.Warn, "the last snapshot", func(f *doctor.Facts) { f.Server.Snapshots = false }},
	{"D6", doctor.Warn, "dq-worker lacks 2 rights for its role: hlen err:*", func(f *doctor.Facts) {
		f.Rights.Denied = map[string][]string{"dq-worker": {"xadd q:*", "hlen err:*"}}
	}},
	{"D7", doctor.Warn, "h:2: 1 of 2 slots runs one item for unusually long: stage s (f), source src, offset 3, for 6s", hang(6 * time.Second)},
	{"D7", doctor.Warn, "h:2: 2 of 2 slots run one item each for unusually long; the longest is stage s (f), source src, offset 2, for 8s", func(f *doctor.Facts) {
		f.Snapshot.Workers[0].Running = []inspect.Call{
			{Stage: "s", Function: "f", Source: "src", Offset: 3, Since: now.Add(-6 * time.Second)},
			{Stage: "s", Function: "f", Source: "src", Offset: 2, Since: now.Add(-8 * time.Second)},
		}
	}},
	{"D7", doctor.Fail, "for 1m1s", hang(61 * time.Second)},
	{"D13", doctor.Warn, "stage s (f): 6 of 100 items have failed", func(f *doctor.Facts) {
		f.Snapshot.Stages[0].RecentDone, f.Snapshot.Stages[0].RecentFailed = 100, 6
	}},
	{"D13", doctor.Warn, "stage s (f): 60 of all its 1000 items have failed", func(f *doctor.Facts) {
		f.Snapshot.Stages[0].Done, f.Snapshot.Stages[0].Failed = 1000, 60
	}},
	{"D8 D9", doctor.Fail, "no live worker has f", func(f *doctor.Facts) { f.Snapshot.Stages[0].Workers = 0 }},
	{"D8 D9", doctor.Fail, "none of 2 workers with f has the tags eu,gpu", func(f *doctor.Facts) {
		stage := &f.Snapshot.Stages[0]
		stage.Workers, stage.Untagged, stage.Tags = 0, 2, []string{"eu", "gpu"}
	}},
	{"D8 D9", doctor.Fail, "2 workers have f with other types", func(f *doctor.Facts) { f.Snapshot.Stages[0].Workers, f.Snapshot.Stages[0].Others = 0, 2 }},
	{"D8", doctor.Warn, "no live worker has f", func(f *doctor.Facts) { f.Snapshot.Stages[0].Workers, f.Snapshot.Queues[0].Waiting = 0, 0 }},
	{"D9", doctor.Warn, "flow in: 3 items wait: stage s (f) is paused", func(f *doctor.Facts) { f.Snapshot.Stages[0].Paused = true }},
	{"D9", doctor.Warn, "flow in: 3 items wait, the oldest for 1m0s: the program that gathers out takes no results: it has taken none for 50s", func(f *doctor.Facts) {
		f.Snapshot.Gathers = []inspect.Gather{{Queue: "out", State: inspect.Reader, Held: 9, Reader: 1, Since: now.Add(-50 * time.Second)}}
	}},
	{"D9", doctor.Warn, "flow in: the program that gathers out takes no results: it has taken none for 50s, with 9 items in", func(f *doctor.Facts) {
		f.Snapshot.Queues[0].Waiting, f.Snapshot.Queues[0].Oldest, f.Snapshot.Queues[1].Running = 0, time.Time{}, 9
		f.Snapshot.Gathers = []inspect.Gather{{Queue: "out", State: inspect.Reader, Held: 9, Reader: 1, Since: now.Add(-50 * time.Second)}}
	}},
	{"D15", doctor.Warn, "source src of queue in is away: killed", func(f *doctor.Facts) {
		f.Snapshot.Queues[0].Waiting, f.Snapshot.Sources[0].State, f.Snapshot.Sources[0].Why = 0, "away", "killed"
	}},
	{"D11", doctor.Warn, "queue out: its gather h:1 is dead", func(f *doctor.Facts) { f.Snapshot.Queues[1].Waiting, f.Snapshot.Queues[1].Gather.State = 9, "dead" }},
	{"D10", doctor.Warn, "queue in is full: 3 items of at most 3", func(f *doctor.Facts) { f.Snapshot.Queues[0].Full, f.Snapshot.Queues[0].Max = true, 3 }},
	{"D10", doctor.Warn, "queue in is nearly full: 299 items of at most 300", func(f *doctor.Facts) { f.Snapshot.Queues[0].Waiting, f.Snapshot.Queues[0].Max = 299, 300 }},
	{"D10", doctor.Warn, "queue in is full: 3 items of at most 3, 1 KiB of at most 0 KiB; 1 source waits", func(f *doctor.Facts) {
		f.Snapshot.Queues[0].Max, f.Snapshot.Queues[0].Bytes, f.Snapshot.Sources[0].State = 3, 1<<10, inspect.Full
	}},
	{"D11", doctor.Warn, "queue in: the process that it goes with is dead", func(f *doctor.Facts) { f.Snapshot.Queues[0].Owner = "gone" }},
	{"D12", doctor.Warn, "each of 2 items", func(f *doctor.Facts) { f.Snapshot.Queues[0].Suspects = 2 }},
	{"D12", doctor.Warn, "there is 1 dead letter", func(f *doctor.Facts) { f.Snapshot.Letters = 1 }},
	{"D12", doctor.Warn, "there are 7 dead letters", func(f *doctor.Facts) { f.Snapshot.Letters = 7 }},
	{"D14", doctor.Warn, "should have been back in their queue for 16s", func(f *doctor.Facts) { f.Snapshot.Overdue = 16 * time.Second }},
	{"D16", doctor.Warn, "the leases differ: 10s (h:1), 5s (h:2)", func(f *doctor.Facts) {
		f.Snapshot.Workers[0].Lease, f.Snapshot.Executors[0].Lease = 5*time.Second, 10*time.Second
	}},
	{"D17", doctor.Warn, "versions of dqbridge: v1 (h:2 h:2 h:2 and 1 more), v0 (h:2)", func(f *doctor.Facts) {
		f.Snapshot.Workers[0].Version = "v1"
		f.Snapshot.Workers = slices.Repeat(f.Snapshot.Workers, 5)
		f.Snapshot.Workers[2].Version = "v0"
	}},
	{"D18", doctor.Warn, "is 6s ahead of that of Redis", func(f *doctor.Facts) { f.Snapshot.Ahead = 6 * time.Second }},
	{"D18", doctor.Warn, "is 1m0s behind that of Redis", func(f *doctor.Facts) { f.Snapshot.Ahead = -time.Minute }},
	{"D20", doctor.Warn, "h:2 does not read its hints", func(f *doctor.Facts) { f.Snapshot.Workers[0].Mailbox = 1000 }},
	{"D23", doctor.Warn, "the work of 1 worker is missing", func(f *doctor.Facts) { f.Snapshot.Workers[0].Muted = true }},
	{"D15", doctor.Warn, "source src of queue in is away: killed", func(f *doctor.Facts) {
		f.Snapshot.Sources[0].State, f.Snapshot.Sources[0].Why = "away", "killed"
	}},
	{"D15", doctor.Warn, "h:1 has sent no heartbeat for 5s", func(f *doctor.Facts) {
		f.Snapshot.Sources[0].By.State, f.Snapshot.Sources[0].By.Seen = "late", now.Add(-5*time.Second)
	}},
	{"D21", doctor.Warn, "9999 of 10000", func(f *doctor.Facts) { f.Server.Clients = 9999 }},
	{"D22", doctor.Warn, "400 workers wait at the queues of 301 stages", func(f *doctor.Facts) {
		f.Snapshot.AtQueues = 400
		for i := range 300 {
			f.Snapshot.Stages = append(f.Snapshot.Stages, inspect.Stage{ID: fmt.Sprint(i), In: []string{fmt.Sprint("q", i)}, Workers: 1})
		}
	}},
	{"D24", doctor.Fail, "queue in cannot be read: WRONGTYPE", func(f *doctor.Facts) { f.Snapshot.Queues[0].Broken = "WRONGTYPE" }},
	{"D19", doctor.Warn, "1 of 300 payload keys have no lifetime, and no entry needs them: {dq:0}:f:a", func(f *doctor.Facts) { f.Payloads.Orphans = []string{"{dq:0}:f:a"} }},
	{"D26", doctor.Warn, "its main thread works 93 % of its time", func(f *doctor.Facts) { f.Snapshot.Redis.Busy = 0.93 }},
	{"D25", doctor.Warn, "h:2 has sent no heartbeat for 4s", func(f *doctor.Facts) {
		f.Snapshot.Workers[0].State, f.Snapshot.Workers[0].Seen = "late", now.Add(-4*time.Second)
	}},
	{"D25", doctor.Fail, "no heartbeat came for a lease from 1 of 2 processes", func(f *doctor.Facts) { f.Snapshot.Workers[0].State = "silent" }},
}

// hang returns the plant of a call that runs for some time.
func hang(took time.Duration) func(f *doctor.Facts) {
	return func(f *doctor.Facts) {
		f.Snapshot.Workers[0].Running = []inspect.Call{{Stage: "s", Function: "f", Source: "src", Offset: 3, Since: now.Add(-took)}}
	}
}

// A remedy that makes a stage again is a whole command, with the names of its queues.
func TestRemediesAreWholeCommands(t *testing.T) {
	t.Parallel()
	for id, c := range map[string]struct {
		plant        func(f *doctor.Facts)
		text, remedy string
	}{
		"D7": {hang(6 * time.Second), "runs one item", "give the stage a timeout: dqbridge map --replace --timeout 30s --tags gpu f in out, or executor.Timeout; then cancel what runs: dqbridge cancel src 3"},
		"D8": {
			func(f *doctor.Facts) {
				f.Snapshot.Stages[0].Workers, f.Snapshot.Stages[0].Function, f.Snapshot.Workers[0].Functions = 0, "risize", []string{"resize"}
			},
			"stage s: no live worker has risize; workers have resize",
			"dqbridge map --replace --tags gpu resize in out, or start a worker with it, or delete the queues of the stage",
		},
	} {
		facts := well()
		facts.Snapshot.Stages[0].Tags = []string{"gpu"}
		c.plant(&facts)
		if found := doctor.Examine(facts, id); !strings.Contains(found[0].Text, c.text) || found[0].Remedy != c.remedy {
			t.Errorf("%s: %q -> %q", id, found[0].Text, found[0].Remedy)
		}
	}
}

// Whether a call is long depends on the usual time of its stage.
func TestLongCallsOfSlowStagesAreUsual(t *testing.T) {
	t.Parallel()
	facts := well()
	facts.Snapshot.Stages[0].P99 = 10 * time.Second
	hang(3 * time.Minute)(&facts)
	if found := doctor.Examine(facts, "D7"); doctor.Worst(found) != doctor.OK {
		t.Errorf("found %+v", found)
	}
	hang(4 * time.Minute)(&facts)
	if found := doctor.Examine(facts, "D7"); doctor.Worst(found) != doctor.Fail {
		t.Errorf("found %+v", found)
	}
}

// Each fault is planted alone into facts in which all is well. Only its check finds it.
func TestEachFaultIsFoundByItsCheck(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		facts := well()
		fault.plant(&facts)
		found := doctor.Examine(facts)
		var ids []string
		told := false
		for _, f := range found {
			if f.Level == doctor.OK {
				continue
			}
			ids = append(ids, f.ID)
			told = told || strings.Contains(f.Text, fault.text)
		}
		if strings.Join(ids, " ") != fault.id || !told || doctor.Worst(found) != fault.level {
			t.Errorf("%s %q: found %v at level %s: %+v", fault.id, fault.text, ids, doctor.Worst(found), found)
		}
	}
}

func TestServerThatMayNotBeAskedIsSkipped(t *testing.T) {
	t.Parallel()
	facts := well()
	facts.Server, facts.ServerErr = inspect.Server{}, fmt.Errorf("info: %w", executor.ErrDenied)
	found := doctor.Examine(facts)
	skipped := 0
	for _, f := range found {
		if f.Level == doctor.Skipped {
			skipped++
		}
	}
	if skipped != 7 || doctor.Worst(found) != doctor.OK {
		t.Errorf("%d skipped: %+v", skipped, found)
	}
	if !doctor.NeedsServer() || !doctor.NeedsServer("D9", "D3") || doctor.NeedsServer("D9", "D24") {
		t.Error("the server is asked for the wrong checks")
	}
	facts.ServerErr = errors.New("the cable is cut")
	if found := doctor.Examine(facts, "D3"); len(found) != 1 || found[0].Text != "the cable is cut" || found[0].ID != "D3" {
		t.Errorf("found %+v", found)
	}
}

// Of two looks, only faults that both have found stay, with the text of the second one.
func TestFaultsOfOneLookAreLeftOut(t *testing.T) {
	t.Parallel()
	first, second := well(), well()
	first.Snapshot.Letters, second.Snapshot.Letters = 1, 2
	first.Server.RoundTrip = time.Second
	second.Snapshot.Queues[0].Full = true
	second.Snapshot.Workers = append(slices.Clone(second.Snapshot.Workers), second.Snapshot.Workers[0])
	first.Snapshot.Workers[0].State, first.Snapshot.Workers[0].Seen = "late", now
	second.Snapshot.Workers[1].ID, second.Snapshot.Workers[1].State = "other", "late"
	found := doctor.InBoth(doctor.Examine(first), doctor.Examine(second))
	if len(found) != len(doctor.Checks()) {
		t.Errorf("%d findings", len(found))
	}
	for _, f := range found {
		if f.IsFault() != (f.ID == "D12") || f.ID == "D12" && f.Text != "there are 2 dead letters" || f.Text == "" {
			t.Errorf("found %+v", f)
		}
	}
}
