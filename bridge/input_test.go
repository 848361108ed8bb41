package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

var errThird = errors.New("a multiple of three")

// parity fails in the second stage. Its own input is not the item that was scattered.
var (
	twice  = workers.Define("twice", func(_ context.Context, x int) (string, error) { return fmt.Sprint(2 * x), nil })
	parity = workers.Define("parity", func(_ context.Context, text string) (string, error) {
		if strings.HasSuffix(text, "6") {
			return "", errThird
		}
		return text, nil
	})
)

func TestAFailureBringsWhatWasScattered(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 3000
		q := must(bridge.Scatter(t.Context(), ex, channel(upTo(n)...), bridge.KeepInput()))(t)
		mapped := must(executor.Map(t.Context(), parity, must(executor.Map(t.Context(), twice, q))(t)))(t)
		failed := 0
		for r := range must(bridge.Gather(t.Context(), mapped, bridge.KeepInput()))(t) {
			if r.Err == nil {
				if _, err := executor.InputAs[int](r.Err, nil); err == nil {
					t.Fatal("a value has the input of a failure")
				}
				continue
			}
			failed++
			x, err := executor.InputAs[int](r.Err, nil)
			if err != nil || !strings.HasSuffix(fmt.Sprint(2*x), "6") || int64(x) != r.Offset() {
				t.Fatalf("result %d: %v: input %d, %v", r.Offset(), r.Err, x, err)
			}
			untyped := &executor.ItemError{Input: []byte(fmt.Sprint(x)), InputType: codec.Info{}.String()}
			if same, err := executor.InputAs[int](untyped, nil); same != x || err != nil {
				t.Fatalf("of encoded items: %d, %v", same, err)
			}
			if _, err := executor.InputAs[string](r.Err, nil); !errors.Is(err, executor.ErrTypeMismatch) {
				t.Fatalf("an int as a string: %v", err)
			}
		}
		if failed != n/5 {
			t.Errorf("%d items have failed", failed)
		}
	}, twice, parity)
}

func TestWithoutKeepInputAFailureBringsNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for i, opts := range [][]bridge.ScatterOption{nil, {bridge.KeepInput()}} {
			q := must(bridge.Scatter(t.Context(), ex, channel("6"), opts...))(t)
			var gather []bridge.GatherOption
			if i == 0 {
				gather = append(gather, bridge.KeepInput())
			}
			for r := range must(bridge.Gather(t.Context(), must(executor.Map(t.Context(), parity, q))(t), gather...))(t) {
				if _, err := executor.InputAs[string](r.Err, nil); err == nil || r.Err == nil {
					t.Errorf("%d: input of %v: %v", i, r.Err, err)
				}
			}
		}
	}, parity)
}

// Frames of more than 2 KiB have keys of their own. A value that cannot be encoded has no input.
func TestLargeInputsAreKept(t *testing.T) {
	broken := workers.Define("broken", func(context.Context, []float64) (int, error) { return 0, errThird })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		nan := 0.0
		nan /= nan
		q := must(bridge.Scatter(t.Context(), ex, channel(make([]float64, 5000), []float64{nan}, []float64{1, 2}), bridge.KeepInput()))(t)
		var lens []int
		for r := range must(bridge.Gather(t.Context(), must(executor.Map(t.Context(), broken, q))(t), bridge.KeepInput()))(t) {
			v, err := executor.InputAs[[]float64](r.Err, nil)
			if (err != nil) != (r.Offset() == 1) {
				t.Errorf("input %d: %v", r.Offset(), err)
			}
			lens = append(lens, len(v))
		}
		want(t, lens, 5000, 0, 2)
	}, broken)
}

// A successor of a gather brings inputs too: they stay until their results are delivered.
func TestInputsStayUntilTheirResultsAreDelivered(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := must(bridge.Scatter(t.Context(), ex, channel("1", "6", "2", "16"), bridge.KeepInput(), bridge.Name("texts"), bridge.Seal()))(t)
		mapped := must(executor.Map(t.Context(), parity, q, executor.Name("results")))(t)
		for first := range 2 {
			ctx, leave := context.WithCancel(t.Context())
			results := must(bridge.Gather(ctx, mapped, bridge.KeepInput(), bridge.ManualAck()))(t)
			for i := 0; i < 4-2*first; i++ {
				r := <-results
				if text, err := executor.InputAs[string](r.Err, nil); i%2 == 1 && (err != nil || !strings.HasSuffix(text, "6")) {
					t.Errorf("gather %d, result %d: %q, %v", first, i, text, err)
				}
				if r.Offset() < 2 || first == 1 {
					r.Ack()
				}
			}
			if first == 1 {
				if r, ok := <-results; ok {
					t.Errorf("got %v", r)
				}
			}
			leave()
			for range results {
			}
		}
		if err := errors.Join(mapped.Delete(t.Context()), q.Delete(t.Context())); err != nil {
			t.Error(err)
		}
	}, parity)
}
