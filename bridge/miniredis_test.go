package bridge_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// Users run their own tests on a miniredis, with its address. Streams, futures, bounds, retries
// and takeovers work there as on a Redis, and no key is left.
func TestFlowsOnMiniredis(t *testing.T) {
	t.Parallel()
	url := testkit.Miniredis(t)
	t.Cleanup(func() {
		if left := testkit.Keys(t, url, "*"); len(left) > 0 {
			t.Errorf("keys are left: %q", left)
		}
	})
	var calls atomic.Int64
	flaky := workers.Define("flaky", func(_ context.Context, x int) (int, error) {
		if x == 3 && calls.Add(1) < 3 {
			return 0, errors.New("not yet")
		}
		return x, nil
	})
	work(t, url, inc, double, flaky, odd)
	ex := connect(t, url)

	bounded := scatter(t, ex, upTo(500), bridge.MaxSize(20), bridge.MaxInFlight(50))
	for i, v := range values(t, stage(t, double, stage(t, inc, bounded))) {
		if v != 2*i+2 {
			t.Fatalf("item %d is %d", i, v)
		}
	}
	retried := stage(t, flaky, scatter(t, ex, upTo(5)), executor.Retries(3), executor.Backoff(time.Millisecond, time.Millisecond))
	want(t, values(t, retried), 0, 1, 2, 3, 4)
	futures := must(executor.MapSlice(t.Context(), ex, inc, upTo(100)))(t)
	if got := must(executor.GatherSlice(t.Context(), futures))(t); len(got) != 100 || got[99] != 100 {
		t.Errorf("the futures are %v", got)
	}
	if _, err := must(executor.Submit(t.Context(), ex, odd, 2))(t).Result(t.Context()); err == nil {
		t.Error("the failure of an item is lost")
	}

	named := scatter(t, ex, upTo(30), bridge.Name("named"))
	next, _ := take(t, named, 0, 10)
	other := connect(t, url)
	next, lost := take(t, must(executor.Open[int](t.Context(), other, "named"))(t), next, 20)
	if next != 30 || lost != 0 {
		t.Errorf("the second gather ends at %d, and %d items are lost", next, lost)
	}
	if err := other.Delete(t.Context(), "named"); err != nil {
		t.Error(err)
	}
}
