package bridge_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

func TestDeliveredIsWhatWasAcked(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(100), bridge.Name("numbers"), bridge.Seal())
		ctx, cancel := context.WithCancel(t.Context())
		results := must(bridge.Gather(ctx, q, bridge.ManualAck()))(t)
		var kept []int
		var late []bridge.Result[int]
		for i := range 100 {
			r := <-results
			if r.Err != nil || r.Value != i {
				t.Fatalf("%v in the place of %d", r, i)
			}
			if i%3 == 0 {
				r.Ack()
				continue
			}
			kept, late = append(kept, i), append(late, r)
		}
		cancel()
		cut(t, results, context.Canceled)
		for _, r := range late {
			r.Ack() // too late, and harmless
		}
		var again []int
		for r := range must(bridge.Gather(t.Context(), q, bridge.ManualAck()))(t) {
			again = append(again, r.Value)
			go r.Ack()
		}
		if !slices.Equal(again, kept) {
			t.Errorf("what was not acked is %v, and %v came again", kept, again)
		}
		if err := ex.Delete(t.Context(), "numbers"); err != nil {
			t.Error(err)
		}
	})
}

// Slices of results are acknowledged whole, in part and again, together with single results.
func TestAckAllAcknowledgesWhatItIsGiven(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(3000), bridge.Name("numbers"), bridge.Seal())
		ctx, cancel := context.WithCancel(t.Context())
		out := must(bridge.GatherSlices(ctx, q, bridge.ManualAck()))(t)
		var all []bridge.Result[int]
		for len(all) < 3000 {
			all = append(all, <-out...)
		}
		all[70].Ack()
		bridge.AckAll(all[10:100])
		bridge.AckAll(all[50:2000])
		bridge.AckAll(append(slices.Clone(all[2500:2600]), all[2100:2200]...))
		bridge.AckAll([]bridge.Result[int]{all[2999], {}, all[2900], all[2901], all[2903]})
		bridge.AckAll[int](nil)
		cancel()
		for range out {
		}
		acked := func(v int) bool {
			return v >= 10 && v < 2000 || v >= 2500 && v < 2600 || v >= 2100 && v < 2200 || slices.Contains([]int{2999, 2900, 2901, 2903}, v)
		}
		want := slices.DeleteFunc(upTo(3000), acked)
		var again []int
		for s := range must(bridge.GatherSlices(t.Context(), q, bridge.ManualAck()))(t) {
			for _, r := range s {
				again = append(again, r.Value)
			}
			bridge.AckAll(s)
		}
		if !slices.Equal(again, want) {
			t.Errorf("%d results come again, of %d that were not acknowledged: %v", len(again), len(want), again[:min(20, len(again))])
		}
		if err := ex.Delete(t.Context(), "numbers"); err != nil {
			t.Error(err)
		}
	})
}

func TestAckIsHarmlessWithoutManualAck(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for r := range must(bridge.Gather(t.Context(), stage(t, odd, scatter(t, ex, upTo(10)))))(t) {
			r.Ack()
		}
		failed := 0
		for r := range must(bridge.Gather(t.Context(), stage(t, odd, scatter(t, ex, upTo(10))), bridge.ManualAck(), bridge.Unordered()))(t) {
			if r.Err != nil {
				failed++
			}
			r.Ack()
		}
		if failed != 5 {
			t.Errorf("%d failures of 5", failed)
		}
		for _, err := range bridge.All(t.Context(), scatter(t, ex, []int{1}), bridge.ManualAck()) {
			if err == nil || bridge.IsItemError(err) {
				t.Errorf("a loop without results to ack is not refused: %v", err)
			}
		}
	}, odd)
}
