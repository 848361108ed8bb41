package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// locations returns the states of an item with their queues.
func locations(t *testing.T, ex *executor.Executor, source string, offset int64) string {
	t.Helper()
	found, err := ex.Where(t.Context(), source, offset)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range found {
		all = append(all, p.State+" "+p.Queue)
		if p.Text == "" || p.State == inspect.Held && p.By == nil {
			t.Errorf("the at is %+v", p)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func eventuallyAt(t *testing.T, ex *executor.Executor, source string, offset int64, want string) {
	t.Helper()
	testkit.Eventually(t, func() bool { return locations(t, ex, source, offset) == want }, "the item "+want)
}

// A result that is private waits in the queue of its scatter.
func TestWhereFollowsPrivateResults(t *testing.T) {
	inc := workers.Define("inc", func(_ context.Context, n int) (int, error) { return n + 1, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{}), bridge.Name("in"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), inc, q, executor.Name("out"))
		if err != nil {
			t.Fatal(err)
		}
		mine, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2}), bridge.Name("in"), bridge.Private("out"))
		if err != nil {
			t.Fatal(err)
		}
		sources, err := ex.Sources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		private := sources[slices.IndexFunc(sources, func(s inspect.Source) bool { return strings.HasSuffix(s.Name, "@out") })].Name
		eventuallyAt(t, ex, private, 1, "waiting "+private)
		for _, err := range bridge.All(t.Context(), out, bridge.ResultsOf(mine)) {
			if err != nil {
				t.Error(err)
			}
		}
		for _, queue := range []string{"in", "out"} {
			if err := ex.Delete(t.Context(), queue); err != nil {
				t.Error(err)
			}
		}
	}, inc)
}

// A flow with a gate: the item 1 is held, the item 3 fails first and is tried again later.
func TestWhereFollowsAnItem(t *testing.T) {
	gate, failed := make(chan struct{}), new(atomic.Int64)
	step := workers.Define("step", func(ctx context.Context, n int) (int, error) {
		switch {
		case n == 3 && failed.Add(1) == 1:
			return 0, errors.New("the first attempt")
		case n == 1:
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		gate = make(chan struct{})
		failed.Store(0)
		p, err := bridge.NewProducer[int](t.Context(), ex, bridge.Name("in"), bridge.DurableSource("source"), bridge.MaxBatch(1))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			if err := p.Send(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		if got := locations(t, ex, "source", 4); got != "waiting in" {
			t.Errorf("before the stage, the item is %s", got)
		}
		if got := locations(t, ex, "source", 7); got != "not stored in" {
			t.Errorf("before it is sent, the item is %s", got)
		}
		if got := locations(t, ex, "nothing", 0); got != "gone " {
			t.Errorf("an item without a source is %s", got)
		}
		_, err = executor.Map(t.Context(), step, p.Queue(), executor.Name("out"), executor.Retries(3), executor.Backoff(time.Hour, time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		eventuallyAt(t, ex, "source", 0, "waiting out")
		eventuallyAt(t, ex, "source", 1, "held in")
		eventuallyAt(t, ex, "source", 3, "delayed in")
		found, err := ex.Where(t.Context(), "source", 3)
		if err != nil || found[0].Attempts != 1 || time.Until(found[0].Due) < time.Minute || found[0].Since.IsZero() {
			t.Errorf("the delayed item is %+v, %v", found, err)
		}
		close(gate)
		for _, name := range []string{"in", "out"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}, step)
}

// The copies of an item are found in each branch.
func TestWhereFollowsBranches(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]int, 5)), bridge.Name("in"), bridge.DurableSource("source"))
		if err != nil {
			t.Fatal(err)
		}
		branches, err := executor.Multiplex(t.Context(), 2, q)
		if err != nil {
			t.Fatal(err)
		}
		left, right := branches[0].Name(), branches[1].Name()
		eventuallyAt(t, ex, "source", 0, strings.Join(sorted("waiting "+left, "waiting "+right), ", "))
		ctx, cancel := context.WithCancel(t.Context())
		results, err := bridge.Gather(ctx, branches[0], bridge.Unordered())
		if err != nil {
			t.Fatal(err)
		}
		<-results
		eventuallyAt(t, ex, "source", 0, strings.Join(sorted("delivered "+left, "waiting "+right), ", "))
		if _, err := ex.Where(t.Context(), "source", 5); err == nil || !strings.Contains(err.Error(), "has ended with 5 items") {
			t.Errorf("behind the end: %v", err)
		}
		cancel()
		for range results {
		}
		for _, name := range []string{"in", left, right} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func sorted(texts ...string) []string {
	slices.Sort(texts)
	return texts
}

func TestWhereFindsDroppedItems(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]int, 20)), bridge.Name("in"), bridge.DurableSource("source"),
			bridge.MaxSize(8), bridge.MaxBatch(1), bridge.Overflow(bridge.OverflowDropNewest))
		if err != nil {
			t.Fatal(err)
		}
		<-q.Done()
		for offset, want := range map[int64]string{0: "waiting in", 7: "waiting in", 8: "dropped in", 19: "dropped in"} {
			if got := locations(t, ex, "source", offset); got != want {
				t.Errorf("item %d is %s, not %s", offset, got, want)
			}
		}
		if err := ex.Delete(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
	})
}
