package bridge_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
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
