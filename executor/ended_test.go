package executor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A flow is gathered to its end at once. Its workers report most of their work afterwards.
func TestGatheredFlowIsAmongTheEnded(t *testing.T) {
	t.Parallel()
	half := workers.Define("half", func(_ context.Context, n int) (int, error) {
		if n%10 == 0 {
			return 0, fmt.Errorf("item %d is bad", n)
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		numbers := make([]int, 100)
		for i := range numbers {
			numbers[i] = i
		}
		in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(numbers))
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), half, in)
		if err == nil {
			out, err = executor.Map(t.Context(), inc, out)
		}
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		for r := range results {
			if r.Err != nil && !bridge.IsItemError(r.Err) {
				t.Fatal(r.Err)
			}
		}
		var ended []inspect.EndedFlow
		testkit.Eventually(t, func() bool {
			ended, err = ex.EndedFlows(t.Context())
			return err != nil || len(ended) > 0 && ended[0].Failed == 10
		}, "the counts of the flow are there")
		if err != nil || len(ended) != 1 {
			t.Fatalf("%+v, %v", ended, err)
		}
		f := ended[0]
		if !slices.Equal(f.Chain, []string{"half", "inc"}) || f.Items != 100 || f.Name != in.Name() || f.Began.IsZero() || f.Ended.Before(f.Began) {
			t.Errorf("the flow is %+v", f)
		}
		if len(f.Errors) != 1 || f.Errors[0].Count != 10 || f.Errors[0].Function != "half" || f.Stages[0].P99 == 0 || f.Stages[0].Done != 100 {
			t.Errorf("the flow is %+v", f)
		}
	}, half, inc)
}

// went is a stage that has gone. Its queues are given by their incarnations.
func went(id string, at int64, in string, came int64, out ...string) broker.EndedStage {
	s := broker.EndedStage{
		At: time.UnixMilli(at), Began: time.UnixMilli(at - 100), ID: id, Function: "f" + id, Flow: "root",
		Ins: map[string]int64{in: came}, Outs: map[string]int64{}, Items: came, Failed: 1,
	}
	for _, queue := range out {
		s.Outs[queue] = came
	}
	s.Times.AddEach(time.Second, int(came))
	return s
}

func TestBranchesAreOneEndedFlow(t *testing.T) {
	flows := executor.EndedFlowsOf(
		went("c", 5, "2", 7, "4"), went("copy", 4, "1", 9, "2", "3"), went("b", 3, "3", 8, "5"), went("a", 9, "0", 9, "1"))
	if len(flows) != 1 {
		t.Fatalf("%d flows: %+v", len(flows), flows)
	}
	f := flows[0]
	if !slices.Equal(f.Chain, []string{"fa", "fcopy", "fb", "fc"}) || f.Items != 15 || f.Failed != 4 || f.Ended.UnixMilli() != 9 || f.Began.UnixMilli() != -97 {
		t.Errorf("the flow is %+v", f)
	}
}

// Queues of the same names, and a queue that stays while its stages come and go.
func TestSuccessiveFlowsAreSeveral(t *testing.T) {
	flows := executor.EndedFlowsOf(
		went("a", 1, "stays", 5, "1"), went("b", 2, "1", 5, "2"), went("a", 3, "stays", 6, "3"), went("b", 4, "3", 6, "4"), went("a", 5, "new", 7, "5"))
	var items []int64
	for _, f := range flows {
		items = append(items, f.Items)
	}
	if !slices.Equal(items, []int64{5, 6, 7}) {
		t.Errorf("the flows have %v items: %+v", items, flows)
	}
}

// A stage of futures has no out-queue.
func TestEndedFlowOfFutures(t *testing.T) {
	flows := executor.EndedFlowsOf(went("a", 1, "0", 3))
	if len(flows) != 1 || flows[0].Items != 3 {
		t.Errorf("the flows are %+v", flows)
	}
}

func TestMostFrequentErrorsAreShown(t *testing.T) {
	a, b := went("a", 1, "0", 9, "1"), went("b", 2, "1", 9, "2")
	a.Errors = []broker.ErrorGroup{{Key: "1", Count: 4, Code: "error", Message: "four\nlines"}, {Key: "2", Count: 1}}
	b.Errors = []broker.ErrorGroup{{Key: "1", Count: 9, Code: "panic", Message: "nine"}, {Key: "3", Count: 2}}
	got := executor.EndedFlowsOf(a, b)[0].Errors
	want := []inspect.EndedError{
		{Stage: "b", Function: "fb", Code: "panic", Message: "nine", Count: 9}, {Stage: "a", Function: "fa", Code: "error", Message: "four", Count: 4},
		{Stage: "b", Function: "fb", Count: 2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("the errors are %+v", got)
	}
}
