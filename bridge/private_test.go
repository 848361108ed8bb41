package bridge_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// pipeline makes the named pipeline orders -> inc -> double -> charged, and returns its end.
func pipeline(t *testing.T, ex *executor.Executor) *executor.Queue[int] {
	t.Helper()
	scatter(t, ex, []int{}, bridge.Name("orders"))
	in := must(executor.Open[int](t.Context(), ex, "orders"))(t)
	return stage(t, double, stage(t, inc, in), executor.Name("charged"))
}

// charges are the results of the pipeline for [from, to).
func charges(from, to int) (results []int) {
	for i := from; i < to; i++ {
		results = append(results, 2*(i+1))
	}
	return results
}

func numbersIn(from, to int) (some []int) {
	for i := from; i < to; i++ {
		some = append(some, i)
	}
	return some
}

// Each scatter gets the results of its own items, in order, and the gather of the last queue those of
// scatters that are not private.
func TestPrivateResultsGoToTheirScatter(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		charged := pipeline(t, ex)
		const n = 3000
		var mine []*executor.Queue[int]
		for i := range 3 {
			mine = append(mine, scatter(t, ex, numbersIn(i*n, (i+1)*n), bridge.Name("orders"), bridge.Private("charged")))
		}
		scatter(t, ex, numbersIn(3*n, 4*n), bridge.Name("orders"))
		for i, q := range slices.Backward(mine) {
			want(t, values(t, charged, bridge.ResultsOf(q)), charges(i*n, (i+1)*n)...)
		}
		in := must(executor.Open[int](t.Context(), ex, "orders"))(t)
		if err := in.Seal(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, values(t, charged), charges(3*n, 4*n)...)
		removeQueues(t, ex, "orders", "orders.inc", "charged")
	}, inc, double)
}

func removeQueues(t *testing.T, ex *executor.Executor, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := ex.Delete(t.Context(), name); err != nil && !errors.Is(err, executor.ErrQueueNotFound) {
			t.Error(err)
		}
	}
}

// A scatter whose results are not taken stops itself at its window, and no other one.
func TestAPrivateGatherThatWaitsStopsNoOther(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		charged := pipeline(t, ex)
		ctx, leave := context.WithCancel(t.Context())
		endless := func(yield func(int) bool) {
			for i := 0; yield(i); i++ {
			}
		}
		slow := must(bridge.ScatterSeq(ctx, ex, endless, bridge.Name("orders"), bridge.Private("charged"), bridge.MaxInFlight(100)))(t)
		results := must(bridge.Gather(ctx, charged, bridge.ResultsOf(slow), bridge.Buffer(0)))(t)
		if r := <-results; r.Value != 2 || r.Err != nil {
			t.Errorf("%v %v", r.Value, r.Err)
		}
		for i := range 5 {
			other := scatter(t, ex, numbersIn(i, i+1000), bridge.Name("orders"), bridge.Private("charged"), bridge.MaxInFlight(100))
			want(t, values(t, charged, bridge.ResultsOf(other)), charges(i, i+1000)...)
		}
		stored := int64(0)
		for _, s := range must(ex.Sources(t.Context()))(t) {
			stored = max(stored, s.Stored)
		}
		if stored > 110 {
			t.Errorf("the scatter has stored %d items", stored)
		}
		for i := 1; i < 500; i++ {
			if r := <-results; r.Value != 2*(i+1) || r.Err != nil {
				t.Fatalf("%v %v in the place of %d", r.Value, r.Err, i)
			}
		}
		leave()
		for range results {
		}
		<-slow.Done()
		waitFor(t, func() bool { return len(must(ex.Queues(t.Context()))(t)) == 3 }) // its own queue is gone
		waitFor(t, func() bool { return len(must(ex.Sources(t.Context()))(t)) <= 1 })
		removeQueues(t, ex, "orders", "orders.inc", "charged")
	}, inc, double)
}

// Failures, retries and dead letters stay in the places of their items.
func TestPrivateResultsHaveFailuresInPlace(t *testing.T) {
	var tries atomic.Int64
	flaky := workers.Define("flaky", func(_ context.Context, x int) (int, error) {
		if x%3 == 0 {
			return 0, errors.New("it is a multiple of 3")
		}
		if x == 4 && tries.Add(1) < 3 {
			return 0, errors.New("not yet")
		}
		return x, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		tries.Store(0)
		scatter(t, ex, []int{}, bridge.Name("orders"))
		in := must(executor.Open[int](t.Context(), ex, "orders"))(t)
		charged := stage(t, flaky, in, executor.Name("charged"), executor.Retries(3), executor.Backoff(1, 2))
		mine := scatter(t, ex, upTo(10), bridge.Name("orders"), bridge.Private("charged"))
		i := 0
		for r := range must(bridge.Gather(t.Context(), charged, bridge.ResultsOf(mine)))(t) {
			if (r.Err != nil) != (i%3 == 0) || r.Err == nil && r.Value != i || r.Offset() != int64(i) {
				t.Errorf("%d: %v %v", i, r.Value, r.Err)
			}
			i++
		}
		if i != 10 {
			t.Errorf("%d results", i)
		}
		removeQueues(t, ex, "orders", "charged")
	}, flaky)
}

func TestPrivateRefusesWhatItCannotKeep(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		charged := pipeline(t, ex)
		refused := func(opts ...bridge.ScatterOption) {
			t.Helper()
			if _, err := bridge.Scatter(t.Context(), ex, make(chan int), opts...); err == nil {
				t.Error("it is not refused")
			}
		}
		refused(bridge.Private("charged"))
		refused(bridge.Name("orders"), bridge.Private(""))
		refused(bridge.Name("orders"), bridge.Private("charged"), bridge.DurableSource("shop"))
		refused(bridge.Name("orders"), bridge.Private("missing"))
		refused(bridge.Name("orders"), bridge.Private("orders"))
		refused(bridge.Name("orders"), bridge.Private("orders.inc")) // a stage reads it
		refused(bridge.Name("other"), bridge.Private("charged"))
		refused(bridge.Name("a@charged"))
		plain := scatter(t, ex, []int{1}, bridge.Name("orders"))
		if _, err := bridge.Gather(t.Context(), charged, bridge.ResultsOf(plain)); err == nil {
			t.Error("the results of a scatter without Private are gathered")
		}
		mine := scatter(t, ex, []int{1}, bridge.Name("orders"), bridge.Private("charged"))
		if _, err := bridge.Gather(t.Context(), plain, bridge.ResultsOf(mine)); err == nil {
			t.Error("the results are gathered in the place of another queue")
		}
		want(t, values(t, charged, bridge.ResultsOf(mine)), 4)
		removeQueues(t, ex, "orders", "orders.inc", "charged")
	}, inc, double)
}

// The groups of a flat map, also large ones that workers open, come back whole, over several branches.
func TestPrivateResultsOfAFlatMapAndAMerge(t *testing.T) {
	upTo := workers.DefineFlatMap("upto", func(_ context.Context, n int, yield func(int)) error {
		for i := range n {
			yield(i)
		}
		return nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		scatter(t, ex, []int{}, bridge.Name("orders"))
		in := must(executor.Open[int](t.Context(), ex, "orders"))(t)
		many := must(flow.FlatMap(t.Context(), upTo, in))(t)
		charged := stage(t, inc, many, executor.Name("charged"))
		inputs := []int{0, 3, 1000, 1, 0, 200}
		var two []*executor.Queue[int]
		for range 2 {
			two = append(two, scatter(t, ex, inputs, bridge.Name("orders"), bridge.Private("charged")))
		}
		var all []int
		for _, n := range inputs {
			for i := range n {
				all = append(all, i+1)
			}
		}
		for _, q := range two {
			want(t, values(t, charged, bridge.ResultsOf(q)), all...)
		}
		removeQueues(t, ex, "orders", many.Name(), "charged")
	}, upTo, inc)
}

// A flow with several ends has no place for private results, unless the ends are merged.
func TestPrivateResultsOfBranches(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		scatter(t, ex, []int{}, bridge.Name("orders"))
		in := must(executor.Open[int](t.Context(), ex, "orders"))(t)
		branches := must(executor.Multiplex(t.Context(), 2, in))(t)
		private := func() (*executor.Queue[int], error) {
			return bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 3}), bridge.Name("orders"), bridge.Private(branches[0].Name()))
		}
		if _, err := private(); err == nil || !strings.Contains(err.Error(), "only end") {
			t.Errorf("two ends: %v", err)
		}
		both := must(executor.Merge(t.Context(), stage(t, inc, branches[0]), stage(t, double, branches[1])))(t)
		mine := scatter(t, ex, []int{1, 2, 3}, bridge.Name("orders"), bridge.Private(both.Name()))
		got := values(t, both, bridge.ResultsOf(mine), bridge.Unordered())
		slices.Sort(got)
		want(t, got, 2, 2, 3, 4, 4, 6)
		for _, q := range must(ex.Queues(t.Context()))(t) {
			removeQueues(t, ex, q.Name)
		}
	}, inc, double)
}

// The deletion of the pipeline ends a private gather, and its queue goes with it.
func TestADeletedPipelineEndsPrivateGathers(t *testing.T) {
	for _, name := range []string{"orders", "charged"} {
		onBoth(t, func(t *testing.T, ex *executor.Executor) {
			charged := pipeline(t, ex)
			mine := must(bridge.Scatter(t.Context(), ex, make(chan int), bridge.Name("orders"), bridge.Private("charged")))(t)
			results := must(bridge.Gather(t.Context(), charged, bridge.ResultsOf(mine)))(t)
			removeQueues(t, ex, name)
			var last error
			for r := range results {
				last = r.Err
			}
			if !errors.Is(last, executor.ErrQueueNotFound) {
				t.Errorf("%s: %v", name, last)
			}
			removeQueues(t, ex, "orders", "orders.inc", "charged")
			waitFor(t, func() bool { return !has(t, ex) })
		}, inc, double)
	}
}

// Results whose gather has gone come to no queue.
func TestPrivateResultsWithoutAGatherAreDropped(t *testing.T) {
	begun, until := make(chan bool, 100), make(chan bool)
	held := workers.Define("held", func(_ context.Context, text string) (string, error) {
		begun <- true
		<-until
		return text, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		until = make(chan bool)
		scatter(t, ex, []string{}, bridge.Name("orders"))
		in := must(executor.Open[string](t.Context(), ex, "orders"))(t)
		charged := stage(t, held, in, executor.Name("charged"))
		ctx, leave := context.WithCancel(t.Context())
		large := strings.Repeat("x", 10_000) // of a payload
		mine := must(bridge.ScatterSeq(ctx, ex, slices.Values([]string{"1", large}), bridge.Name("orders"), bridge.Private("charged"), bridge.MaxBatch(1)))(t)
		results := must(bridge.Gather(ctx, charged, bridge.ResultsOf(mine)))(t)
		<-begun
		leave()
		for range results {
		}
		waitFor(t, func() bool { return len(must(ex.Queues(t.Context()))(t)) == 2 })
		close(until)
		other := scatter(t, ex, []string{"2"}, bridge.Name("orders"), bridge.Private("charged"))
		want(t, values(t, charged, bridge.ResultsOf(other)), "2")
		var shared int64
		waitFor(t, func() bool {
			left := int64(0)
			for _, q := range must(ex.Queues(t.Context()))(t) {
				if q.Name == "orders" {
					left += q.Waiting + q.Running
				} else {
					shared = q.Waiting
				}
			}
			return left == 0
		})
		if shared != 0 {
			t.Errorf("%d results are in the shared queue", shared)
		}
		removeQueues(t, ex, "orders", "charged")
	}, held)
}
