//go:build !race

package bridge_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/workers"
)

func TestAnItemThatIsTooLargeFailsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		sizes := []int{1, batch.MaxItem + 1, 2, batch.MaxItem, 3}
		var items [][]byte
		for _, size := range sizes {
			items = append(items, make([]byte, size))
		}
		q := scatter(t, ex, items)
		i := 0
		for v, err := range bridge.All(t.Context(), q) {
			var failed *executor.ItemError
			if i == 1 != errors.As(err, &failed) || failed != nil && failed.Code != "toolarge" || i != 1 && len(v) != sizes[i] {
				t.Errorf("item %d: %d bytes, %v", i, len(v), err)
			}
			i++
		}
		if i != len(sizes) {
			t.Errorf("%d items", i)
		}
	})
}

// After many small items, batches may have a hundred. Of large ones they have few
// all the same.
func TestABatchHasAtMostEightMebibytes(t *testing.T) {
	const small, large, size = 10_000, 40, 1 << 20
	var largest atomic.Int64
	weigh := workers.DefineBatch("weigh", func(_ context.Context, items [][]byte) ([]int, error) {
		sizes, sum := make([]int, len(items)), int64(0)
		for i, item := range items {
			sizes[i], sum = len(item), sum+int64(len(item))
		}
		for seen := largest.Load(); sum > seen && !largest.CompareAndSwap(seen, sum); seen = largest.Load() {
		}
		return sizes, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		largest.Store(0)
		in := make(chan []byte)
		q := must(bridge.Scatter(t.Context(), ex, in))(t)
		for range small {
			in <- nil
		}
		waitFor(t, func() bool { return must(q.Len(t.Context()))(t) == small })
		big := make([]byte, size)
		for range large {
			in <- big
		}
		close(in)
		waitFor(t, func() bool { return must(q.Len(t.Context()))(t) == small+large })
		want(t, values(t, stage(t, weigh, q))[small:], repeat(size, large)...)
		if got := largest.Load(); got > batch.MaxBytes+size || got < size {
			t.Errorf("the largest batch has %d bytes", got)
		}
	}, weigh)
}
