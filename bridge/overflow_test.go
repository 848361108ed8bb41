package bridge_test

import (
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// gathered is the value or the error in the place of each item.
func gathered(t *testing.T, q *executor.Queue[int]) (kept []int, dropped int) {
	t.Helper()
	last := -1
	for v, err := range bridge.All(t.Context(), q) {
		switch {
		case errors.Is(err, executor.ErrDropped):
			dropped++
		case err != nil:
			t.Fatal(err)
		case v <= last:
			t.Fatalf("%d after %d", v, last)
		default:
			last = v
			kept = append(kept, v)
		}
	}
	return kept, dropped
}

// bounds are those that have room for about ten small numbers, and how many
// items that can be at most.
var bounds = map[string]struct {
	option bridge.ScatterOption
	most   int
}{
	"items":  {bridge.MaxSize(10), 10},
	"bytes":  {bridge.MaxBytes(50), 16},
	"window": {bridge.MaxInFlight(10), 10},
}

func TestDropNewestKeepsTheFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for name, bound := range bounds {
			q := scatter(t, ex, upTo(1000), bound.option, bridge.Overflow(bridge.OverflowDropNewest))
			if err := ex.Flush(t.Context()); err != nil {
				t.Fatal(name, err)
			}
			counted := must(q.Dropped(t.Context()))(t)
			kept, dropped := gathered(t, stage(t, double, q))
			if len(kept)+dropped != 1000 || dropped != counted || len(kept) == 0 || len(kept) > bound.most || kept[0] != 0 {
				t.Errorf("%s: kept %v, %d dropped, %d counted", name, kept, dropped, counted)
			}
		}
	}, double)
}

func TestDropOldestKeepsTheLast(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for name, bound := range bounds {
			q := scatter(t, ex, upTo(1000), bound.option, bridge.Overflow(bridge.OverflowDropOldest))
			if err := ex.Flush(t.Context()); err != nil {
				t.Fatal(name, err)
			}
			counted := must(q.Dropped(t.Context()))(t)
			kept, dropped := gathered(t, stage(t, double, q))
			if len(kept)+dropped != 1000 || dropped != counted || len(kept) == 0 || len(kept) > bound.most || kept[len(kept)-1] != 2*999 {
				t.Errorf("%s: kept %v, %d dropped, %d counted", name, kept, dropped, counted)
			}
		}
	}, double)
}

// An item that is dropped while workers and the gather work has its place on every branch.
func TestDropsWhileItFlows(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 2_000
		for _, policy := range []bridge.OverflowPolicy{bridge.OverflowDropNewest, bridge.OverflowDropOldest} {
			q := scatter(t, ex, upTo(n), bridge.MaxSize(8), bridge.Overflow(policy))
			branches := must(executor.Multiplex(t.Context(), 2, q))(t)
			for _, branch := range branches {
				kept, dropped := gathered(t, stage(t, double, branch))
				if len(kept)+dropped != n {
					t.Errorf("%s: %d kept, %d dropped", policy, len(kept), dropped)
				}
			}
		}
	}, double)
}

func TestFailEndsTheScatter(t *testing.T) {
	for name, bound := range bounds {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				q := scatter(t, ex, upTo(1000), bound.option, bridge.Overflow(bridge.OverflowFail))
				<-q.Done()
				if err := q.Err(); !errors.Is(err, executor.ErrFull) {
					t.Errorf("the scatter ended with %v", err)
				}
				n := 0
				var ended error
				for v, err := range bridge.All(t.Context(), q) {
					if ended = err; err == nil && v == n {
						n++
					}
				}
				if !errors.Is(ended, executor.ErrTruncated) || n == 0 || n > bound.most {
					t.Errorf("%d items, then %v", n, ended)
				}
			})
		})
	}
}

func TestNothingIsDroppedWithoutAPolicy(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for name, opts := range map[string][]bridge.ScatterOption{"none": nil, "block": {bridge.Overflow(bridge.OverflowBlock)}} {
			q := scatter(t, ex, upTo(500), append(opts, bridge.MaxSize(3), bridge.MaxBytes(20), bridge.MaxInFlight(5))...)
			kept, dropped := gathered(t, stage(t, double, q))
			if len(kept) != 500 || dropped != 0 {
				t.Errorf("%s: %d kept, %d dropped", name, len(kept), dropped)
			}
		}
	}, double)
}
