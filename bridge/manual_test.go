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
			if err == nil || bridge.IsItem(err) {
				t.Errorf("a loop without results to ack is not refused: %v", err)
			}
		}
	}, odd)
}
