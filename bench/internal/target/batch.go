package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// slowCalls compares the batch size that a worker finds for calls of 50 ms with fixed sizes.
func slowCalls(ctx context.Context, r *run) (float64, string, error) {
	fixed := []int{16384, 32768, 65536} // smaller sizes have lower rates
	runs := []func() (float64, error){func() (float64, error) { return callRate(ctx) }}
	for _, size := range fixed {
		runs = append(runs, func() (float64, error) { return callRate(ctx, workers.BatchSize(size, size)) })
	}
	medians, err := r.Turns(runs...)
	return medians[0] / slices.Max(medians[1:]), fmt.Sprintf("%.0f items/s; calls of %d items bring %.0f", medians[0], fixed, medians[1:]), err
}

// callRate is the rate of a batch function in 4 slots, on the embedded broker.
func callRate(ctx context.Context, opts ...workers.DefineOption) (rate float64, err error) {
	const n, slots = 10_000_000, 4
	slow := workers.DefineBatch("slow", func(ctx context.Context, items []int) ([]int, error) {
		return items, work.Pause(ctx, 50*time.Millisecond)
	}, opts...)
	ex, err := executor.New(ctx, "", executor.Concurrency(slots))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(slow); err != nil {
		return 0, err
	}
	begin := time.Now()
	in, err := bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
	if err != nil {
		return 0, err
	}
	out, err := executor.Map(ctx, slow, in)
	if err != nil {
		return 0, err
	}
	got := 0
	for _, err := range bridge.All(ctx, out) {
		if err != nil {
			return 0, err
		}
		got++
	}
	if got != n {
		return 0, fmt.Errorf("%d results of %d", got, n)
	}
	return n / time.Since(begin).Seconds(), nil
}
