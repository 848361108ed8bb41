//go:build !race

package sim

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// One fault at each request of a cycle: each number of the tree comes once, and the cycle ends. An item
// without a result and an item with several are among them.
func TestEachFaultAtEachRequestOfACycle(t *testing.T) {
	t.Parallel()
	eachFault(t, feedCycle)
}

func feedCycle(ctx context.Context, ex *executor.Executor, below workers.FlatFunc[int, int], inc workers.Func[int, int]) error {
	seeds, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{3}))
	if err != nil {
		return err
	}
	out, err := flow.Feedback(ctx, seeds, func(in *executor.Queue[int]) (*executor.Queue[int], error) {
		numbers, err := flow.FlatMap(ctx, below, in, executor.NoFuse())
		if err != nil {
			return nil, err
		}
		return executor.Map(ctx, inc, numbers)
	}, func(_ context.Context, x int) ([]int, error) { return []int{x - 1}, nil })
	if err != nil {
		return err
	}
	var got []int
	for v, err := range bridge.All(ctx, out) {
		if err != nil {
			return fmt.Errorf("after %d results: %w", len(got), err)
		}
		got = append(got, v)
	}
	slices.Sort(got)
	// 3 has the results 1, 2 and 3, which lead to 0, 1 and 2, and so on.
	if want := []int{1, 1, 1, 1, 2, 2, 3}; !slices.Equal(got, want) {
		return fmt.Errorf("the results are %v, want %v", got, want)
	}
	return nil
}
