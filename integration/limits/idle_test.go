package limits_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A Redis without other clients looks for the ends of blocked reads hz times a second. A rate does not
// depend on that: here it would be ten calls a second.
func TestRateHoldsOnIdleServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ex, err := executor.New(ctx, testkit.StartRedis(t, "--hz", "1").URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ex.Close() }()
	call := workers.Define("call", func(_ context.Context, x int) (int, error) { return x, nil })
	if err := ex.Register(call); err != nil {
		t.Fatal(err)
	}
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(upTo(1000)))
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(ctx, call, q, executor.RateLimit(1000, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for x, err := range bridge.All(ctx, out) {
		if err != nil || x != next {
			t.Fatalf("result %d is %d, %v", next, x, err)
		}
		next++
	}
	if next != 1000 {
		t.Errorf("%d results", next)
	}
}
