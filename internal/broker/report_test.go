package broker_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// recorded returns the stage of a flow with its number, as a worker reads it.
func (f flow) recorded(t *testing.T, c *broker.Client) broker.Stage {
	t.Helper()
	stages := must[[]broker.Stage](t)(c.StagesOf(t.Context(), []string{f.stage.ID}))
	return stages[0]
}

// reported sends a report about one stage.
func reported(t *testing.T, c *broker.Client, number int64, work broker.StageWork) {
	t.Helper()
	if _, err := c.Report(t.Context(), "w1", broker.Report{Number: number, Stages: []broker.StageWork{work}}); err != nil {
		t.Fatal(err)
	}
}

// reportOf reads the reports about a stage.
func reportOf(t *testing.T, c *broker.Client, stage string) broker.StageReport {
	t.Helper()
	return must[[]broker.StageReport](t)(c.Reports(t.Context(), []string{stage}))[0]
}

func TestReportsAddUpOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 3)
		work := broker.StageWork{Stage: f.recorded(t, c), Counts: broker.StageCounts{
			Items: 10, Failed: 2, Retried: 3, Lost: 1, Batches: 4, Bytes: 500, Spent: time.Second, Busy: 2 * time.Second, Full: 3 * time.Second, OtherErrors: 5,
		}}
		work.Times.Add(time.Second, 10)
		work.Waits.AddEach(3*time.Second, 4)
		work.Waits.AddEach(time.Minute, 1)
		work.Errors = []broker.ErrorGroup{{
			Key: "k1", Count: 2, Code: "error", Message: "item 7 is \"bad\"", Source: "s1", Offset: 1 << 52, Attempt: 3, Worker: "w1", Stack: "at x",
		}}
		first, second := work, work
		second.Errors = []broker.ErrorGroup{{Key: "k1", Count: 7, Code: "error", Message: "item 8"}, {Key: "k2", Count: 1, Code: "panic"}}
		for _, number := range []int64{1, 1, 1} { // a report with a lost reply is sent again
			reported(t, c, number, first)
		}
		once := reportOf(t, c, "b")
		if once.Counts != work.Counts || !reflect.DeepEqual(once.Times, work.Times) || !reflect.DeepEqual(once.Waits, work.Waits) || once.Last.IsZero() || len(once.Errors) != 1 {
			t.Fatalf("after one report: %+v", once)
		}
		group := once.Errors[0]
		if group.First.IsZero() || !group.First.Equal(group.Last) {
			t.Errorf("the group was seen from %v to %v", group.First, group.Last)
		}
		if group.First, group.Last = (time.Time{}), (time.Time{}); group != work.Errors[0] {
			t.Errorf("the group is %+v", group)
		}
		reported(t, c, 2, second)
		reported(t, c, 1, first) // it arrives late
		twice := reportOf(t, c, "b")
		if twice.Counts.Items != 20 || twice.Counts.Full != 6*time.Second || twice.Times.Count() != 20 || twice.Waits.Count() != 10 || twice.Waits.Sum() != 144*time.Second || len(twice.Errors) != 2 {
			t.Fatalf("after two reports: %+v", twice)
		}
		at := slices.IndexFunc(twice.Errors, func(g broker.ErrorGroup) bool { return g.Key == "k1" })
		if g := twice.Errors[at]; g.Count != 9 || g.Message != "item 8" || g.Last.Before(g.First) {
			t.Errorf("the group is %+v", g)
		}
		for _, slots := range [][]broker.TimeSlot{twice.Seconds, twice.Minutes} {
			var items, failed int64
			for _, s := range slots {
				items, failed = items+s.Items, failed+s.Failed
			}
			if items != 20 || failed != 4 || slots[0].Waiting != 3 || slots[0].Oldest < 0 || slots[0].Added != 3 || slots[0].Full == 0 {
				t.Errorf("the slots are %+v", slots)
			}
		}
		none := reportOf(t, c, "other")
		if none.Counts != (broker.StageCounts{}) || none.Stage != "other" || none.Times.Count() != 0 || none.Waits.Count() != 0 || !none.Last.IsZero() {
			t.Errorf("a stage without reports has %+v", none)
		}
	})
}

// A report about a stage that is gone or was replaced writes no key.
func TestReportOfGoneStageWritesNoKey(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		old := f.recorded(t, c)
		work := broker.StageWork{Stage: old, Counts: broker.StageCounts{Items: 1}, Errors: []broker.ErrorGroup{{Key: "k", Count: 1}}}
		reported(t, c, 1, work)
		slow := f.stage
		slow.Timeout = time.Minute
		if err := c.Stage(t.Context(), slow); err != nil { // the same stage, with another option
			t.Fatal(err)
		}
		reported(t, c, 2, work)
		if got := reportOf(t, c, "b").Counts.Items; got != 2 {
			t.Errorf("%d items after an option has changed", got)
		}
		renamed := f.stage
		renamed.Function = "down"
		if err := c.Replace(t.Context(), renamed, f.recorded(t, c)); err != nil {
			t.Fatal(err)
		}
		reported(t, c, 3, work)
		if got := reportOf(t, c, "b"); got.Counts.Items != 0 || len(got.Errors) > 0 || got.Minutes != nil {
			t.Errorf("the replacement has the counts of the old stage: %+v", got)
		}
		work.Stage = f.recorded(t, c)
		reported(t, c, 4, work)
		if err := c.Unstage(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		reported(t, c, 5, work)
		if left := countKeys(t, c); len(left) > 0 {
			t.Errorf("without its stage, left are %q", left)
		}
		if err := c.Leave(t.Context(), broker.RoleWorker, "w1"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Report(t.Context(), "w1", broker.Report{Number: 6}); !errors.Is(err, broker.ErrFenced) {
			t.Errorf("the report of a worker that has left: %v", err)
		}
	})
}

// countKeys returns the keys of the counts of all stages.
func countKeys(t *testing.T, c *broker.Client) []string {
	t.Helper()
	return slices.DeleteFunc(must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("*")).Result()), func(key string) bool {
		kind, _, _ := strings.Cut(strings.TrimPrefix(key, c.Key("")), ":")
		return !slices.Contains([]string{"t", "h", "err"}, kind)
	})
}

// A thousand stages come and go, by deletion, replacement and after the death of their executor. No
// key of their counts is left.
func TestCountsGoWithTheirStages(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		ctx, number := t.Context(), int64(0)
		if err := errors.Join(c.Join(ctx, broker.RoleWorker, "w1", nil), c.Join(ctx, broker.RoleExecutor, "x1", nil)); err != nil {
			t.Fatal(err)
		}
		declare := func(name string, from ...string) broker.Queue {
			return must[broker.Queue](t)(declared(c.Declare(ctx, broker.Queue{Name: name, Owner: "x1", From: from, Seal: from != nil})))
		}
		report := func(id string) {
			number++
			stage := must[[]broker.Stage](t)(c.StagesOf(ctx, []string{id}))[0]
			reported(t, c, number, broker.StageWork{Stage: stage, Counts: broker.StageCounts{Items: 1}, Errors: []broker.ErrorGroup{{Key: "k", Count: 1}}})
		}
		stage := func(id string, in, out broker.Queue) broker.Stage {
			return broker.Stage{ID: id, Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}}}
		}
		for i := range 250 {
			in := declare(fmt.Sprintf("in%d", i))
			out := declare(fmt.Sprintf("out%d", i), in.Name)
			for _, end := range []string{"replace", "other", "unstage", "delete"} {
				first := stage(out.Name, in, out)
				if err := c.Stage(ctx, first); err != nil {
					t.Fatal(err)
				}
				report(first.ID)
				old := must[[]broker.Stage](t)(c.StagesOf(ctx, []string{first.ID}))[0]
				var err error
				switch end {
				case "replace": // by a stage of another id
					err = c.Replace(ctx, stage("next", in, out), old)
					report("next")
					err = errors.Join(err, c.Unstage(ctx, "next"))
				case "other": // by a stage of another function
					first.Function = "g"
					err = c.Replace(ctx, first, old)
					report(first.ID)
					err = errors.Join(err, c.Unstage(ctx, first.ID))
				case "unstage":
					err = c.Unstage(ctx, first.ID)
				case "delete":
					if err = c.DeleteOwned(ctx, "x1", []string{in.Name, out.Name}); i%2 == 0 {
						err = errors.Join(err, c.DeleteAll(ctx, []string{in.Name, out.Name}))
					}
				}
				if err != nil && !errors.Is(err, broker.ErrQueueNotFound) {
					t.Fatal(end, err)
				}
			}
		}
		if left := countKeys(t, c); len(left) > 0 {
			t.Errorf("left are %d keys, such as %q", len(left), left[0])
		}
	})
}

// Redis keeps a limited number of error groups: a new one takes the place of the one that was not
// seen for the longest time.
func TestErrorGroupsAreLimited(t *testing.T) {
	t.Parallel()
	server := embedded.New()
	t.Cleanup(server.Close)
	c, err := server.Open("redis://127.0.0.1/", nil)
	c = opened(t, c, err)
	f := makeFlow(t, c, 0)
	work := broker.StageWork{Stage: f.recorded(t, c)}
	begin := time.UnixMilli(1_760_000_000_000)
	for i := range 100 {
		server.StandAt(begin.Add(time.Duration(i) * time.Second))
		work.Errors = []broker.ErrorGroup{{Key: fmt.Sprint(i), Count: 1}, {Key: "often", Count: 1}}
		reported(t, c, int64(i+1), work)
	}
	got := reportOf(t, c, "b")
	if len(got.Errors) != 64 || got.GroupsGone != 37 || got.Errors[0].Key != "often" || got.Errors[0].Count != 100 || got.Errors[63].Key != "37" {
		t.Errorf("%d groups, %d gone, from %+v to %+v", len(got.Errors), got.GroupsGone, got.Errors[0], got.Errors[len(got.Errors)-1])
	}
	for i, g := range got.Errors[1:] {
		if g.Last.After(got.Errors[i].Last) {
			t.Errorf("group %d was seen at %v, after the one before", i, g.Last)
		}
	}
}

// The rings of ten minutes and an hour forget older slots.
func TestHistoryIsARing(t *testing.T) {
	t.Parallel()
	server := embedded.New()
	t.Cleanup(server.Close)
	c, err := server.Open("redis://127.0.0.1/", nil)
	c = opened(t, c, err)
	begin := time.UnixMilli(1_760_000_000_000).Truncate(time.Hour)
	server.StandAt(begin)
	f := makeFlow(t, c, 0)
	scatterBatches(t, c, f, 2)
	work := broker.StageWork{Stage: f.recorded(t, c), Counts: broker.StageCounts{Items: 3, Failed: 1, Busy: 1500 * time.Millisecond}}
	const reports = 2000 // one in 4 s
	for i := range reports {
		server.StandAt(begin.Add(time.Duration(i) * 4 * time.Second))
		reported(t, c, int64(i+1), work)
	}
	got := reportOf(t, c, "b")
	if len(got.Seconds) != 60 || len(got.Minutes) != 60 || got.Counts.Items != 3*reports {
		t.Fatalf("%d and %d slots, %d items", len(got.Seconds), len(got.Minutes), got.Counts.Items)
	}
	end := begin.Add((reports - 1) * 4 * time.Second)
	for i, s := range got.Minutes[1:] {
		if s.Items != 45 || s.Failed != 15 || s.Busy != 22500*time.Millisecond || s.Waiting != 2 || s.Start.Sub(got.Minutes[i].Start) != time.Minute {
			if !s.Start.Equal(end.Truncate(time.Minute)) { // the last one has just begun
				t.Errorf("minute %d is %+v", i+1, s)
			}
		}
		if want := s.Start.Sub(begin); s.Oldest != want {
			t.Errorf("in minute %d the oldest item is %v old, want %v", i+1, s.Oldest, want)
		}
	}
	if last := got.Seconds[59].Start; !last.Equal(end.Truncate(10 * time.Second)) {
		t.Errorf("the last slot begins at %v, want %v", last, end)
	}
	server.StandAt(begin.Add(24 * time.Hour))
	reported(t, c, reports+1, work)
	if got = reportOf(t, c, "b"); len(got.Seconds) != 1 || len(got.Minutes) != 1 {
		t.Errorf("a day later, %d and %d slots", len(got.Seconds), len(got.Minutes))
	}
}

// A stranger's key in the place of the counts of one stage does not affect the counts of others.
func TestForeignKeyAffectsOneStage(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		stage := f.recorded(t, c)
		copied := stage
		copied.ID = "copied"
		record := strings.Replace(stage.Record, `"id":"b"`, `"id":"copied"`, 1)
		if err := errors.Join(c.Raw().HSet(t.Context(), c.Key("stages"), "copied", record).Err(), c.Raw().Set(t.Context(), c.Key("h:b"), 1, 0).Err()); err != nil {
			t.Fatal(err)
		}
		counts := broker.StageCounts{Items: 1}
		report := broker.Report{Number: 1, Stages: []broker.StageWork{{Stage: stage, Counts: counts}, {Stage: copied, Counts: counts}}}
		if _, err := c.Report(t.Context(), "w1", report); err != nil {
			t.Fatal(err)
		}
		if got := reportOf(t, c, "copied").Counts.Items; got != 1 {
			t.Errorf("the other stage has %d items", got)
		}
	})
}

// A user without the right to write counts is told so, and other work of the user succeeds.
func TestReportIsDenied(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	c = opened(t, c, err)
	f := makeFlow(t, c, 0)
	work := broker.StageWork{Stage: f.recorded(t, c), Counts: broker.StageCounts{Items: 1}}
	rules := []any{"ACL", "SETUSER", "default", "resetkeys", "~{dq:0}:[^teh]*", "~{dq:0}:executors", "~{dq:0}:e:*"}
	if err := c.Raw().Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Report(t.Context(), "w1", broker.Report{Number: 1, Stages: []broker.StageWork{work}}); !errors.Is(err, broker.ErrDenied) {
		t.Errorf("a report without the right: %v", err)
	}
	if err := c.Unstage(t.Context(), "b"); err != nil {
		t.Errorf("a stage without counts cannot be removed: %v", err)
	}
}

func TestWorkersLearnThatTheyAreWatched(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		watched := func(ctx context.Context, number int64) bool {
			return must[bool](t)(c.Report(ctx, "w1", broker.Report{Number: number}))
		}
		before := watched(t.Context(), 1)
		if err := c.MarkWatched(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after, again := watched(t.Context(), 2), watched(t.Context(), 2); before || !after || !again {
			t.Errorf("watched: before %v, after %v, in a repeated call %v", before, after, again)
		}
	})
}

func TestRunningItemsAreReadFromACard(t *testing.T) {
	t.Parallel()
	p := broker.Process{ID: "w1", Card: map[string]string{
		"seen": "1760000005000", "now": `[{"stage":"b","fn":"up","queue":"a","source":"s","offset":7,"items":1,"attempt":2,"ms":5000}]`,
	}}
	want := broker.RunningItem{
		Stage: "b", Function: "up", Queue: "a", Source: "s", Offset: 7, Items: 1, Attempt: 2, For: 5000, Since: time.UnixMilli(1_760_000_000_000),
	}
	if got := p.Running(); len(got) != 1 || got[0] != want {
		t.Errorf("running are %+v", got)
	}
	if got := (broker.Process{Card: map[string]string{"now": "nonsense"}}).Running(); len(got) > 0 {
		t.Errorf("a malformed card has %+v", got)
	}
}
