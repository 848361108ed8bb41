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
		},
		Server: inspect.Server{
			Version: "7.0.15", RoundTrip: time.Millisecond, Memory: 1 << 30, MaxMemory: 8 << 30, Policy: "noeviction", AppendOnly: true, Snapshots: true,
			Clients: 10, MaxClients: 10000,
		},
		Rights: &doctor.Rights{Users: []string{"dq-worker"}},
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
	{"D5", doctor.Warn, "no replica", func(f *doctor.Facts) { f.Server.AppendOnly = false }},
	{"D5", doctor.Warn, "without its replicas", func(f *doctor.Facts) { f.Server.AppendOnly, f.Server.Replicas = false, 1 }},
	{"D5", doctor.Warn, "the last snapshot", func(f *doctor.Facts) { f.Server.Snapshots = false }},
	{"D6", doctor.Warn, "dq-worker lacks 2 rights for its role: hlen err:*", func(f *doctor.Facts) {
		f.Rights.Denied = map[string][]string{"dq-worker": {"xadd q:*", "hlen err:*"}}
	}},
	{"D7", doctor.Warn, "h:2: 1 of 2 slots run one item for unusually long: stage s (f), source src, offset 3, for 6s", hang(6 * time.Second)},
	{"D7", doctor.Fail, "for 1m1s", hang(61 * time.Second)},
	{"D13", doctor.Warn, "stage s (f): 6 of 100 items have failed", func(f *doctor.Facts) {
		f.Snapshot.Stages[0].RecentDone, f.Snapshot.Stages[0].RecentFailed = 100, 6
	}},
	{"D8 D9", doctor.Fail, "no live worker has f", func(f *doctor.Facts) { f.Snapshot.Stages[0].Workers = 0 }},
	{"D8 D9", doctor.Fail, "none of 2 workers with f has the tags eu,gpu", func(f *doctor.Facts) {
		stage := &f.Snapshot.Stages[0]
		stage.Workers, stage.Untagged, stage.Tags = 0, 2, []string{"eu", "gpu"}
	}},
	{"D8 D9", doctor.Fail, "2 workers have f with other types", func(f *doctor.Facts) { f.Snapshot.Stages[0].Workers, f.Snapshot.Stages[0].Others = 0, 2 }},
	{"D8", doctor.Warn, "no live worker has f", func(f *doctor.Facts) { f.Snapshot.Stages[0].Workers, f.Snapshot.Queues[0].Waiting = 0, 0 }},
	{"D9", doctor.Warn, "flow in: 3 items wait: stage s (f) is paused", func(f *doctor.Facts) { f.Snapshot.Stages[0].Paused = true }},
	{"D11", doctor.Warn, "queue out: its gather h:1 is dead", func(f *doctor.Facts) { f.Snapshot.Queues[1].Waiting, f.Snapshot.Queues[1].Gather.State = 9, "dead" }},
	{"D10", doctor.Warn, "queue in is full: 3 items of at most 3", func(f *doctor.Facts) { f.Snapshot.Queues[0].Full, f.Snapshot.Queues[0].Max = true, 3 }},
	{"D11", doctor.Warn, "queue in: the process that it goes with is dead", func(f *doctor.Facts) { f.Snapshot.Queues[0].Owner = "gone" }},
	{"D12", doctor.Warn, "each of 2 items", func(f *doctor.Facts) { f.Snapshot.Queues[0].Suspects = 2 }},
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
	{"D15", doctor.Warn, "source src of queue in: its process is gone: killed", func(f *doctor.Facts) {
		f.Snapshot.Sources[0].State, f.Snapshot.Sources[0].Why = "away", "killed"
	}},
	{"D15", doctor.Warn, "h:1 has sent no heartbeat for 5s", func(f *doctor.Facts) {
		f.Snapshot.Sources[0].By.State, f.Snapshot.Sources[0].By.Seen = "late", now.Add(-5*time.Second)
	}},
	{"D21", doctor.Warn, "9999 of 10000", func(f *doctor.Facts) { f.Server.Clients = 9999 }},
	{"D22", doctor.Warn, "400 workers wait for 301 stages", func(f *doctor.Facts) {
		f.Snapshot.Workers = slices.Repeat(f.Snapshot.Workers, 400)
		for i := range 300 {
			f.Snapshot.Stages = append(f.Snapshot.Stages, inspect.Stage{ID: fmt.Sprint(i), In: []string{fmt.Sprint("q", i)}, Workers: 1})
		}
	}},
	{"D24", doctor.Fail, "queue in cannot be read: WRONGTYPE", func(f *doctor.Facts) { f.Snapshot.Queues[0].Broken = "WRONGTYPE" }},
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
	if skipped != 6 || doctor.Worst(found) != doctor.OK {
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
