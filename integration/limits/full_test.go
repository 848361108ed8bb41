package limits_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A stage with a limit that has waited for room in its out-queue goes on at once: the hint names that
// queue, and a hint about the limit names the in-queue.
func TestLimitedStageGoesOnWhenThereIsRoom(t *testing.T) {
	for what, limit := range map[string]executor.MapOption{
		"places": executor.MaxConcurrency(2),
		"rate":   executor.RateLimit(1000, time.Second),
		"batch":  executor.Batch(1, 0),
	} {
		t.Run(what, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				call := workers.DefineBatch("call", func(_ context.Context, xs []int) ([]int, error) { return xs, nil })
				f.StartWorker(workers.Functions(call))
				ex, _ := f.StartExecutor()
				q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(30)))
				if err != nil {
					t.Fatal(err)
				}
				out, err := executor.Map(t.Context(), call, q, limit, executor.MaxSize(1))
				if err != nil {
					t.Fatal(err)
				}
				results, err := bridge.Gather(t.Context(), out, bridge.Buffer(1))
				if err != nil {
					t.Fatal(err)
				}
				began, got := time.Now(), []int{}
				for r := range results {
					_ = sleep(t.Context(), 10*time.Millisecond)
					got = append(got, r.Value)
				}
				if !slices.Equal(got, upTo(30)) {
					t.Errorf("the results are %v", got)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("30 results took %v", took)
				}
			})
		})
	}
}
