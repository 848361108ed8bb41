package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// The tests of Dask's queues, by the numbers of docs/dask.md.

func TestT01QueueScatter(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for f, err := range executor.Futures(t.Context(), scatter(t, ex, upTo(10))) {
			if err != nil {
				t.Fatal(err)
			}
			if v := must(f.Result(t.Context()))(t); v != 0 {
				t.Errorf("the first out is %d", v)
			}
			break
		}
	})
}

func TestT02QueueGather(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		want(t, values(t, scatter(t, ex, upTo(10))), upTo(10)...)
	})
}

func TestT03Maxsize(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []int{1}, bridge.MaxSize(10))
		out := stage(t, inc, q, executor.MaxSize(3))
		free := stage(t, double, out)
		bounds := map[string]int64{q.Name(): 10, out.Name(): 3, free.Name(): 0}
		for _, info := range must(ex.Queues(t.Context()))(t) {
			if info.Max != bounds[info.Name] {
				t.Errorf("queue %s has the bound %d, not %d: it is not inherited", info.Name, info.Max, bounds[info.Name])
			}
		}
		if results := must(bridge.Gather(t.Context(), free, bridge.Buffer(10)))(t); cap(results) != 10 {
			t.Errorf("a buffer of %d", cap(results))
		}
	}, inc, double)
}

func TestT04MapQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int, 2)
		q := must(bridge.Scatter(t.Context(), ex, in))(t)
		out := stage(t, double, stage(t, inc, q), executor.MaxSize(3))
		in <- 1
		for f, err := range executor.Futures(t.Context(), out) {
			if err != nil {
				t.Fatal(err)
			}
			if v := must(f.Result(t.Context()))(t); v != 4 {
				t.Errorf("(1+1)*2 is %d", v)
			}
			break
		}
		close(in)
	}, inc, double)
}

func TestT05IteratorScatter(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		want(t, values(t, scatter(t, ex, []int{1, 2, 3})), 1, 2, 3)
		results := must(bridge.Gather(t.Context(), scatter(t, ex, upTo(10))))(t)
		if first := <-results; first.Value != 0 || first.Err != nil {
			t.Errorf("first %v", first)
		}
		next := 1
		for r := range results {
			if r.Value != next || r.Err != nil {
				t.Errorf("%v where %d belongs", r, next)
			}
			next++
		}
	})
}

func TestT06EveryValueIsData(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		texts := []string{"a", "b", "c", "StopIteration", "", "None", "EOF", "\x00", "\xff\xfe", "d", "c"}
		want(t, values(t, scatter(t, ex, texts)), texts...)
	})
}

func TestT07MapIterator(t *testing.T) {
	add := workers.Define2("add", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		sum := must(executor.Map2(t.Context(), add, scatter(t, ex, []int{1, 2, 3}), scatter(t, ex, []int{10, 20, 30})))(t)
		want(t, values(t, stage(t, double, sum)), 22, 44, 66)
	}, add, double)
}

func TestT07TasksRunBeforeAnythingIsTaken(t *testing.T) {
	f, calls := counted("counted")
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		before := calls.Load()
		q := stage(t, f, scatter(t, ex, upTo(3)))
		waitFor(t, func() bool { return calls.Load() >= before+3 })
		want(t, values(t, q), 0, 1, 2)
	}, f)
}

func TestT10EnumeratedPairs(t *testing.T) {
	type pair struct{ I, V int }
	identity := workers.Define("identity", func(_ context.Context, p pair) (pair, error) { return p, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		var pairs []pair
		for i, v := range upTo(10) {
			pairs = append(pairs, pair{i, v})
		}
		want(t, values(t, stage(t, identity, scatter(t, ex, pairs))), pairs...)
	}, identity)
}

func TestT11DifferentLengths(t *testing.T) {
	add := workers.Define2("add", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for _, sides := range [][2][]int{{{1, 2}, {1, 2, 3}}, {{1, 2, 3}, {1, 2}}} {
			sum := must(executor.Map2(t.Context(), add, scatter(t, ex, sides[0]), scatter(t, ex, sides[1])))(t)
			want(t, values(t, sum), 2, 4)
		}
		// The batches of the two sides begin and end at different items.
		a, b := scatter(t, ex, upTo(3000)), scatter(t, ex, upTo(1234), bridge.MaxBatch(7))
		got := values(t, must(executor.Map2(t.Context(), add, a, b))(t))
		for i, v := range got {
			if v != 2*i {
				t.Fatalf("pair %d is %d", i, v)
			}
		}
		if len(got) != 1234 {
			t.Errorf("%d pairs", len(got))
		}
	}, add)
}

func TestT12QueueToIterator(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int, 2)
		in <- 1
		in <- 2
		q := must(bridge.Scatter(t.Context(), ex, in))(t)
		next := 1
		for v, err := range bridge.All(t.Context(), q) {
			if err != nil || v != next {
				t.Fatalf("%d, %v where %d belongs", v, err, next)
			}
			if next++; next == 3 {
				break
			}
		}
		close(in)
	})
}

func TestT13IteratorToQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		if r := <-must(bridge.Gather(t.Context(), scatter(t, ex, []int{1, 2, 3})))(t); r.Value != 1 || r.Err != nil {
			t.Errorf("first %v", r)
		}
	})
}

func TestD01EmptyPipeline(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int)
		q := stage(t, double, stage(t, inc, must(bridge.Scatter(t.Context(), ex, in))(t)))
		results := must(bridge.Gather(t.Context(), q))(t)
		if len(results) != 0 || must(q.Len(t.Context()))(t) != 0 {
			t.Errorf("%d results, %d waiting", len(results), must(q.Len(t.Context()))(t))
		}
		close(in)
		for r := range results {
			t.Errorf("a result of nothing: %v", r)
		}
	}, inc, double)
}

func TestD02PutTen(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int)
		q := stage(t, double, stage(t, inc, must(bridge.Scatter(t.Context(), ex, in))(t)))
		results := must(bridge.Gather(t.Context(), q))(t)
		in <- 10
		if r := <-results; r.Value != 22 || r.Err != nil {
			t.Errorf("got %v", r)
		}
		close(in)
	}, inc, double)
}

func TestD03SteadySource(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 20000
		next := 2
		for _, v := range values(t, stage(t, double, stage(t, inc, scatter(t, ex, upTo(n))))) {
			if v != next {
				t.Fatalf("%d where %d belongs", v, next)
			}
			next += 2
		}
		if next != 2*n+2 {
			t.Errorf("%d results", next/2-1)
		}
	}, inc, double)
}

func TestD04Multiplex(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for _, q := range must(executor.Multiplex(t.Context(), 3, stage(t, inc, scatter(t, ex, upTo(1000)))))(t) {
			want(t, values(t, q), upTo(1001)[1:]...)
		}
	}, inc)
}

func TestD05Merge(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		a, b, c := scatter(t, ex, []int{1, 2, 3}), scatter(t, ex, []int{10, 20, 30}), scatter(t, ex, []int{100})
		got := values(t, must(executor.Merge(t.Context(), stage(t, inc, a), b, c))(t))
		inOrder(t, got, 2, 3, 4)
		inOrder(t, got, 10, 20, 30)
		slices.Sort(got)
		want(t, got, 2, 3, 4, 10, 20, 30, 100)
	}, inc)
}

// inOrder wants some of the values in this order.
func inOrder(t *testing.T, got []int, some ...int) {
	t.Helper()
	at := -1
	for _, v := range some {
		i := slices.Index(got, v)
		if i <= at {
			t.Errorf("%v does not have %v in order", got, some)
		}
		at = i
	}
}

func TestD07AFailureDoesNotFreezeTheStream(t *testing.T) {
	f, calls := counted("after")
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		before := calls.Load()
		q := stage(t, f, stage(t, odd, scatter(t, ex, upTo(6))))
		i := 0
		for r := range must(bridge.Gather(t.Context(), q))(t) {
			var failed *executor.ItemError
			if even := i%2 == 0; even != errors.As(r.Err, &failed) || !even && r.Value != i {
				t.Errorf("result %d is %v", i, r)
			}
			if failed != nil && (failed.Function != "odd" || failed.Message != "it is even" || failed.Attempts != 1) {
				t.Errorf("the error of item %d is %+v", i, failed)
			}
			i++
		}
		if i != 6 || calls.Load() != before+3 {
			t.Errorf("%d results, the later stage ran %d times", i, calls.Load()-before)
		}
	}, odd, f)
}

func TestD09EqualValuesRunOnceEach(t *testing.T) {
	f, calls := counted("impure")
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		before := calls.Load()
		want(t, values(t, stage(t, f, scatter(t, ex, []int{0, 0, 0}))), 0, 0, 0)
		if n := calls.Load() - before; n != 3 {
			t.Errorf("%d calls for three equal values", n)
		}
	}, f)
}

func TestD10OrderWhateverTheDurations(t *testing.T) {
	slow := workers.Define("slow", func(ctx context.Context, x int) (string, error) {
		d := time.Duration(rand.IntN(3)) * time.Millisecond
		if x == 0 {
			d = 100 * time.Millisecond
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return "", ctx.Err()
		}
		return fmt.Sprint(x), nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		got := values(t, stage(t, slow, scatter(t, ex, upTo(200))))
		for i, text := range got {
			if text != fmt.Sprint(i) {
				t.Fatalf("%s where %d belongs", text, i)
			}
		}
		if len(got) != 200 {
			t.Errorf("%d results", len(got))
		}
	}, slow)
}
