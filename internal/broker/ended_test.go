package broker_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// worked is a report about the stage of a flow: n items, of which two have failed.
func (f flow) worked(t *testing.T, c *broker.Client, n int64) broker.StageWork {
	t.Helper()
	work := broker.StageWork{Stage: f.recorded(t, c), Counts: broker.StageCounts{Items: n, Failed: 2}}
	work.Times.AddEach(time.Second, int(n))
	work.Errors = []broker.ErrorGroup{
		{Key: "k1", Count: 7, Code: "error", Message: "item \"7\" is\nbad <\\", Stack: "at x"},
		{Key: "k2", Count: 1, Code: "panic", Message: strings.Repeat("é", 300)},
	}
	return work
}

// gone returns the stages that have gone.
func gone(t *testing.T, c *broker.Client) []broker.EndedStage {
	t.Helper()
	return must[[]broker.EndedStage](t)(c.EndedStages(t.Context()))
}

func TestDeletedFlowLeavesItsCounts(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 3)
		must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w1"))))
		reported(t, c, 1, f.worked(t, c, 3))
		if err := c.DeleteAll(t.Context(), []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		all := gone(t, c)
		if len(all) != 1 {
			t.Fatalf("%d stages have gone: %+v", len(all), all)
		}
		got := all[0]
		if got.ID != "b" || got.Kind != broker.KindMap || got.Function != "up" || got.Flow != "a" || got.Items != 3 || got.Failed != 2 || got.Times.Count() != 3 {
			t.Errorf("the stage is %+v", got)
		}
		if !maps.Equal(got.Ins, map[string]int64{f.a.Inc: 3}) || !maps.Equal(got.Outs, map[string]int64{f.b.Inc: 3}) {
			t.Errorf("it read %v and added to %v", got.Ins, got.Outs)
		}
		if got.Began.IsZero() || got.At.Before(got.Began) {
			t.Errorf("it was there from %v to %v", got.Began, got.At)
		}
		if len(got.Errors) != 2 || got.Errors[0] != (broker.ErrorGroup{Key: "k1", Count: 7, Code: "error", Message: "item \"7\" is\nbad <\\"}) {
			t.Fatalf("the errors are %+v", got.Errors)
		}
		if g := got.Errors[1]; g.Key != "k2" || g.Count != 1 || g.Code != "panic" || g.Message != strings.Repeat("é", 100) {
			t.Errorf("the second error is %+v", g)
		}
	})
}

// The reply of the script that removes a stage is lost, and the call is made again.
func TestStageRemovedTwiceLeavesOneRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 1)
		stage := f.recorded(t, c)
		for range 2 {
			if done, err := c.RemoveStage(t.Context(), stage); !done || err != nil {
				t.Fatal(done, err)
			}
		}
		if all := gone(t, c); len(all) != 1 || all[0].ID != "b" {
			t.Errorf("the stages that have gone are %+v", all)
		}
	})
}

// A process may die at any request of a deletion, and another one completes it.
func TestDeletionWithCrashLeavesOneRecord(t *testing.T) {
	for at, died := 0, true; died; at++ {
		server := embedded.New()
		t.Cleanup(server.Close)
		c, err := server.Open("redis://127.0.0.1/", nil)
		c = opened(t, c, err)
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 2)
		names := []string{"a", "b"}
		died = deletedFor(t, server, at, func(ctx context.Context, c *broker.Client) error { return c.DeleteAll(ctx, names) })
		if err := c.DeleteOwned(t.Context(), "x1", names); err != nil {
			t.Fatal(err)
		}
		if all := gone(t, c); len(all) != 1 || all[0].Ins[f.a.Inc] != 2 {
			t.Errorf("died at request %d: the stages that have gone are %+v", at, all)
		}
	}
}

func TestStageWithoutItemsLeavesNoRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		chained(t, c, f)
		if err := c.DeleteAll(t.Context(), []string{"a", "b", "c"}); err != nil {
			t.Fatal(err)
		}
		if all := gone(t, c); len(all) != 0 {
			t.Errorf("the stages that have gone are %+v", all)
		}
	})
}

// No item has come to the second stage of a flow that has items. Its function belongs to the flow.
func TestStageOfAFlowWithItemsLeavesARecord(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 2)
		b := chained(t, c, f)
		if err := c.DeleteAll(t.Context(), []string{"a", "b", "c"}); err != nil {
			t.Fatal(err)
		}
		all := gone(t, c)
		if len(all) != 2 {
			t.Fatalf("the stages that have gone are %+v", all)
		}
		at := slices.IndexFunc(all, func(s broker.EndedStage) bool { return s.ID == "c" })
		if s := all[at]; s.Flow != "a" || s.Function != "down" || !maps.Equal(s.Ins, map[string]int64{b.Inc: 0}) {
			t.Errorf("the second stage is %+v", s)
		}
	})
}

// chained adds a second stage behind a flow, with the out-queue c, as an executor does. It returns the queue
// between both.
func chained(t *testing.T, c *broker.Client, f flow) broker.Queue {
	t.Helper()
	if err := c.Raw().HSet(t.Context(), c.Key("m:b"), "flow", "a").Err(); err != nil {
		t.Fatal(err)
	}
	out := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "c", Owner: "x1", From: []string{"a"}, Seal: true, Flow: "a"})))
	next := broker.Stage{ID: "c", Kind: broker.KindMap, Function: "down", Ins: []broker.Queue{f.b}, Outs: []broker.Out{{Queue: out}}}
	if err := c.Stage(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	return f.b
}

// A worker reports after the flow has gone: the last counts of most flows come so.
func TestLateReportBelongsToTheEndedStage(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 3)
		work := f.worked(t, c, 3)
		reported(t, c, 1, work)
		if err := c.DeleteAll(t.Context(), []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		for _, number := range []int64{2, 2} { // the first reply is lost
			reported(t, c, number, work)
		}
		f = makeFlow(t, c, 0) // of the same names
		scatterBatches(t, c, f, 1)
		reported(t, c, 3, work)
		if got := reportOf(t, c, "b").Counts.Items; got != 0 {
			t.Errorf("the next stage has %d items of the one that has gone", got)
		}
		all := gone(t, c)
		if len(all) != 1 || all[0].Items != 9 || all[0].Failed != 6 || all[0].Times.Count() != 9 {
			t.Fatalf("the stages that have gone are %+v", all)
		}
		if errors := all[0].Errors; len(errors) != 2 || errors[0].Count != 21 || errors[1].Count != 3 {
			t.Errorf("the errors are %+v", errors)
		}
	})
}

// The stage goes on with another function: its flow has not gone.
func TestReplacedStageLeavesNoRecord(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 3)
		work := f.worked(t, c, 3)
		other := f.stage
		other.Function = "down"
		if err := c.Replace(t.Context(), other, f.recorded(t, c)); err != nil {
			t.Fatal(err)
		}
		reported(t, c, 1, work)
		if n := c.Raw().Exists(t.Context(), c.Key("runs")).Val(); n != 0 {
			t.Errorf("the stages that have gone are %+v", gone(t, c))
		}
	})
}

// Many flows with hostile names of errors leave a bounded number of records of a bounded size.
func TestRecordsOfEndedStagesAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 1)
		work := f.worked(t, c, 1)
		for i := range 60 {
			work.Errors = append(work.Errors, broker.ErrorGroup{
				Key: fmt.Sprintf("%032d%032d", i, 0), Count: int64(100 - i), Code: strings.Repeat("c", 999), Message: strings.Repeat("\x01", 99_999),
			})
		}
		for i := range 184 {
			work.Times.AddEach(time.Duration(1<<(i/3)), 1<<40)
		}
		reported(t, c, 1, work)
		if err := c.DeleteAll(t.Context(), []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		entries := c.Raw().XRange(t.Context(), c.Key("runs"), "-", "+").Val()
		size := 0
		for field, value := range entries[0].Values {
			size += len(field) + len(fmt.Sprint(value))
		}
		if size > 8<<10 || len(gone(t, c)[0].Errors) != 8 {
			t.Errorf("a record has %d bytes: %.2000q", size, entries[0].Values)
		}
		for i := range 600 {
			work.Counts.Items = 1
			work.Errors = nil
			report := broker.Report{Number: int64(i + 2), Stages: slices.Repeat([]broker.StageWork{work}, 5)}
			if _, err := c.Report(t.Context(), "w1", report); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.Raw().XLen(t.Context(), c.Key("runs")).Val(); n < 1500 || n > 2200 {
			t.Errorf("there are %d records", n)
		}
	})
}
