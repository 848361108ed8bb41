package bridge_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// fed is a channel of slices that is closed behind them.
func fed[T any](all ...[]T) <-chan []T {
	in := make(chan []T, len(all))
	for _, s := range all {
		in <- s
	}
	close(in)
	return in
}

// join reads slices to the end.
func join[T any](t *testing.T, out <-chan []bridge.Result[T]) (all []bridge.Result[T]) {
	t.Helper()
	for s := range out {
		if len(s) == 0 {
			t.Error("a slice is empty")
		}
		all = append(all, s...)
	}
	return all
}

func TestSlicesAreTheSameStream(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 30_000
		in := must(bridge.ScatterSlices(t.Context(), ex, fed(upTo(n)[:1], nil, upTo(n)[1:20_000], upTo(n)[20_000:])))(t)
		out := must(bridge.GatherSlices(t.Context(), stage(t, odd, in)))(t)
		all := join(t, out)
		for i, r := range all {
			if (r.Err != nil) != (i%2 == 0) || r.Err == nil && r.Value != i {
				t.Fatalf("result %d is %+v", i, r)
			}
		}
		if len(all) != n {
			t.Errorf("%d results", len(all))
		}
	}, odd)
}

// Slices that the program has taken are delivered. Slices in the channel are not.
func TestWhatIsTakenInSlicesIsDelivered(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 10_000
		q := scatter(t, ex, upTo(n), bridge.Name("orders"), bridge.Seal())
		stage(t, inc, q, executor.Name("results"))
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []int
		for len(got) < n {
			out := must(executor.Open[int](t.Context(), ex, "results"))(t)
			ctx, cancel := context.WithCancel(t.Context())
			var results <-chan []bridge.Result[int]
			waitFor(t, func() (free bool) { // until the gather before has given the queue up
				var err error
				results, err = bridge.GatherSlices(ctx, out, bridge.Buffer(1))
				return err == nil
			})
			for range 2 {
				for _, r := range <-results {
					got = append(got, r.Value)
				}
			}
			cancel() // with a slice in the buffer
		}
		for i, v := range got {
			if v != i+1 {
				t.Fatalf("result %d is %d", i, v)
			}
		}
		for _, name := range []string{"orders", "results"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, inc)
}

func TestResultsOfSlicesAreAcknowledgedManually(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		out := must(bridge.GatherSlices(t.Context(), scatter(t, ex, upTo(5000)), bridge.ManualAck()))(t)
		n := 0
		for s := range out {
			for _, r := range slices.Backward(s) {
				r.Ack()
				n++
			}
		}
		if n != 5000 {
			t.Errorf("%d results", n)
		}
	})
}

func TestSlicesThatAreLeft(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		in := make(chan []int)
		q := must(bridge.ScatterSlices(ctx, ex, in))(t)
		out := must(bridge.GatherSlices(t.Context(), q))(t)
		in <- upTo(10)
		if got := <-out; len(got) == 0 || got[0].Value != 0 {
			t.Errorf("got %v", got)
		}
		cancel()
		all := join(t, out)
		if len(all) == 0 || all[len(all)-1].Err == nil {
			t.Errorf("a scatter that was left ends with %v", all)
		}
	})
}
