package flow_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
)

// children returns the numbers below a node of the binary tree of the numbers below n.
func children(n int) func(context.Context, int) ([]int, error) {
	return func(_ context.Context, x int) (below []int, _ error) {
		for _, y := range []int{2*x + 1, 2*x + 2} {
			if y < n {
				below = append(below, y)
			}
		}
		return below, nil
	}
}

// run runs a cycle and returns its results, sorted.
func cycled(ctx context.Context, t *testing.T, ex *executor.Executor, seeds []int, body pipe, next func(context.Context, int) ([]int, error)) (got []int, failed []error) {
	t.Helper()
	q, err := bridge.ScatterSeq(ctx, ex, slices.Values(seeds))
	if err != nil {
		t.Fatal(err)
	}
	out, err := flow.Feedback(ctx, q, func(in *executor.Queue[int]) (*executor.Queue[int], error) { return body(ctx, in) }, next)
	if err != nil {
		t.Fatal(err)
	}
	for x, err := range bridge.All(ctx, out) {
		if err != nil {
			failed = append(failed, err)
		} else {
			got = append(got, x)
		}
	}
	slices.Sort(got)
	return got, failed
}

func TestFeedback(t *testing.T) {
	identity := func(_ context.Context, q *executor.Queue[int]) (*executor.Queue[int], error) { return q, nil }
	for name, c := range map[string]struct {
		seeds  []int
		body   pipe
		next   func(context.Context, int) ([]int, error)
		want   []int
		failed int
	}{
		"tree":      {[]int{0}, mapBy(same), children(1000), upTo(1000), 0},
		"no seed":   {nil, mapBy(same), children(10), nil, 0},
		"in-queue":  {[]int{0}, identity, children(100), upTo(100), 0},
		"no result": {upTo(10), filterBy(none), children(10), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				f.StartWorker(all)
				f.StartWorker(all)
				ex, _ := f.StartExecutor()
				got, failed := cycled(t.Context(), t, ex, c.seeds, c.body, c.next)
				if !slices.Equal(got, c.want) || len(failed) != c.failed {
					t.Errorf("got %v and %v, want %v and %d errors", got, failed, c.want, c.failed)
				}
			})
		})
	}
}
