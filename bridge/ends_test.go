package bridge_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

func TestTheEndOfTheInputIsTheEndOfTheOutput(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		want(t, values(t, stage(t, inc, scatter(t, ex, []int{}))))
		for _, q := range must(executor.Multiplex(t.Context(), 2, scatter(t, ex, []int{})))(t) {
			want(t, values(t, q))
		}
		want(t, values(t, must(executor.Merge(t.Context(), scatter(t, ex, []int{}), scatter(t, ex, []int{1})))(t)), 1)
		failed := 0
		for _, err := range bridge.All(t.Context(), stage(t, odd, scatter(t, ex, []int{2, 4}))) {
			if !bridge.IsItemError(err) {
				t.Errorf("got %v", err)
			}
			failed++
		}
		if failed != 2 {
			t.Errorf("%d failures of 2", failed)
		}
	}, inc, odd)
}

func TestAFlowIsGoneWhenItWasDelivered(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		want(t, values(t, stage(t, double, stage(t, inc, scatter(t, ex, []int{1})))), 4)
		if left := must(ex.Queues(t.Context()))(t); len(left) > 0 {
			t.Errorf("queues are left: %v", left)
		}
		if left := must(ex.Stages(t.Context()))(t); len(left) > 0 {
			t.Errorf("stages are left: %v", left)
		}
	}, inc, double)
}

func TestACanceledScatterEndsItsStreamWithAnError(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		in := make(chan int)
		q := must(bridge.Scatter(ctx, ex, in))(t)
		results := must(bridge.Gather(t.Context(), stage(t, inc, q)))(t)
		in <- 1
		if r := <-results; r.Value != 2 || r.Err != nil {
			t.Fatalf("got %v", r)
		}
		cancel()
		if r := <-results; !errors.Is(r.Err, executor.ErrTruncated) || bridge.IsItemError(r.Err) {
			t.Errorf("got %v", r)
		}
		if r, ok := <-results; ok {
			t.Errorf("behind the end %v", r)
		}
		<-q.Done()
		if err := q.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("the scatter ended with %v", err)
		}
	}, inc)
}

func TestACanceledGatherIsFollowedByAnotherOne(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		in := make(chan int)
		q := must(bridge.Scatter(t.Context(), ex, in))(t)
		results := must(bridge.Gather(ctx, q))(t)
		in <- 1
		<-results
		cancel()
		cut(t, results, context.Canceled)
		// The queue is free for another one, which goes on.
		in <- 2
		close(in)
		want(t, values(t, q), 2)
	})
}

func TestCloseEndsEverything(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int)
		results := must(bridge.Gather(t.Context(), stage(t, inc, must(bridge.Scatter(t.Context(), ex, in))(t))))(t)
		in <- 1
		<-results
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		cut(t, results, executor.ErrClosed)
		if _, err := bridge.Scatter(t.Context(), ex, in); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("scatter after Close: %v", err)
		}
		if err := ex.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
	}, inc)
}

func TestNamedQueuesResumeBehindWhatWasTaken(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(1000), bridge.Name("numbers"), bridge.Seal())
		ctx, cancel := context.WithCancel(t.Context())
		results := must(bridge.Gather(ctx, q, bridge.Buffer(10)))(t)
		var got []int
		for range 123 {
			got = append(got, (<-results).Value)
		}
		cancel()
		for r := range results {
			if r.Err == nil { // it was taken before the gather ended
				got = append(got, r.Value)
			}
		}
		again := must(executor.Open[int](t.Context(), ex, "numbers"))(t)
		want(t, append(got, values(t, again)...), upTo(1000)...)
		if err := ex.Delete(t.Context(), "numbers"); err != nil {
			t.Error(err)
		}
	})
}

// A stage over a named queue has a named out-queue. The results stay there after the end of the
// process that made the stage.
func TestAStageOverANamedQueueIsFoundAgain(t *testing.T) {
	url := namespace(t)
	work(t, url, inc)
	first := connect(t, url)
	out := stage(t, inc, scatter(t, first, upTo(100), bridge.Name("numbers"), bridge.Seal()))
	waitFor(t, func() bool { return must(out.Len(t.Context()))(t) == 100 })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := connect(t, url)
	again := stage(t, inc, must(executor.Open[int](t.Context(), second, "numbers"))(t))
	want(t, values(t, again), upTo(101)[1:]...)
	deleteAll(t, second, "numbers", again.Name())
}

func TestSeveralScattersFeedANamedQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []int{1, 2, 3}, bridge.Name("shared"))
		scatter(t, ex, []int{10, 20, 30}, bridge.Name("shared"))
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		out := stage(t, inc, q)
		results := must(bridge.Gather(t.Context(), out))(t)
		var got []int
		for range 6 {
			got = append(got, (<-results).Value)
		}
		inOrder(t, got, 2, 3, 4)
		inOrder(t, got, 11, 21, 31)
		if err := q.Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		for r := range results {
			t.Errorf("got %v", r)
		}
		if _, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1}), bridge.Name("shared")); !errors.Is(err, executor.ErrSealed) {
			t.Errorf("a scatter after the seal: %v", err)
		}
		for _, name := range []string{out.Name(), "shared"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, inc)
}
