package workers_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A guarded function counts its calls at the same time, and holds them until it is opened.
type guarded struct {
	now, most, calls atomic.Int64
	open             chan struct{}
}

func (g *guarded) call(ctx context.Context) error {
	n := g.now.Add(1)
	defer g.now.Add(-1)
	g.calls.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	select {
	case <-g.open:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// flood starts more items than a worker has slots, and returns the values of the results.
func flood(t *testing.T, ex *executor.Executor, first, second workers.Func[int, int]) (results func() []int) {
	t.Helper()
	in := must(bridge.ScatterSeq(t.Context(), ex, ints(40), bridge.MaxBatch(1)))(t)
	q := must(executor.Map(t.Context(), first, in))(t)
	if second.Err() == nil {
		q = must(executor.Map(t.Context(), second, q))(t)
	}
	return func() (got []int) {
		for x, err := range bridge.All(t.Context(), q) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, x)
		}
		return got
	}
}

// A function with a limit never runs in more slots, alone, behind another stage, in batches and for
// futures. Other functions have the other slots meanwhile.
func TestAFunctionHasALimitOfSlots(t *testing.T) {
	t.Parallel()
	none := workers.Func[int, int]{}
	for name, limited := range map[string]func(g *guarded) (f workers.Func[int, int], behind bool){
		"alone": func(g *guarded) (workers.Func[int, int], bool) {
			return workers.Define("limited", func(ctx context.Context, x int) (int, error) { return x, g.call(ctx) }, workers.Concurrency(2)), false
		},
		"behind another stage": func(g *guarded) (workers.Func[int, int], bool) {
			return workers.Define("limited", func(ctx context.Context, x int) (int, error) { return x, g.call(ctx) }, workers.Concurrency(2)), true
		},
		"batches": func(g *guarded) (workers.Func[int, int], bool) {
			return workers.DefineBatch("limited", func(ctx context.Context, all []int) ([]int, error) { return all, g.call(ctx) },
				workers.Concurrency(2), workers.BatchSize(1, 3)), false
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBothBrokers(t, func(t *testing.T, ex *executor.Executor) {
				g := &guarded{open: make(chan struct{})}
				f, behind := limited(g)
				before := workers.Define("before", func(_ context.Context, x int) (int, error) { return x, nil })
				other := workers.Define("other", func(_ context.Context, x int) (int, error) { return -x, nil })
				if err := ex.Register(f, before, other); err != nil {
					t.Fatal(err)
				}
				first, second := f, none
				if behind {
					first, second = before, f
				}
				results := flood(t, ex, first, second)
				testkit.Eventually(t, func() bool { return g.now.Load() == 2 }, "two calls run")
				if got := flood(t, ex, other, none)(); len(got) != 40 {
					t.Errorf("meanwhile another function has %d results", len(got))
				}
				futures := must(executor.MapSlice(t.Context(), ex, f, slices.Collect(ints(5))))(t)
				if n := g.now.Load(); n != 2 {
					t.Errorf("%d calls run", n)
				}
				close(g.open)
				if got := results(); len(got) != 40 || !slices.IsSorted(got) {
					t.Errorf("the results are %v", got)
				}
				if _, err := executor.GatherSlice(t.Context(), futures); err != nil {
					t.Error(err)
				}
				if n := g.most.Load(); n != 2 {
					t.Errorf("up to %d calls ran at once", n)
				}
			})
		})
	}
}

func TestOnlyConcurrencyIsAnOptionOfBoth(t *testing.T) {
	t.Parallel()
	same := func(_ context.Context, x int) (int, error) { return x, nil }
	for want, option := range map[string]workers.DefineOption{
		`function "f": it has an option of workers.New other than Concurrency`: workers.Logger(nil),
		`function "f": workers: Concurrency(0): it must be at least 1`:         workers.Concurrency(0),
		`function "f": one of its options is nil`:                              workers.Option(nil),
	} {
		if err := workers.Define("f", same, option).Err(); err == nil || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
}
