package workers_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// onBothBrokers runs a test with an Executor on the embedded broker, and with one on a real server.
func onBothBrokers(t *testing.T, test func(t *testing.T, ex *executor.Executor)) {
	t.Helper()
	for name, url := range map[string]string{"embedded": "", "redis": testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)} {
		t.Run(name, func(t *testing.T) {
			ex := must(executor.New(t.Context(), url, executor.Concurrency(4)))(t)
			test(t, ex)
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A fixedCost is a batch function whose calls take the same time for any size.
type dearCall struct {
	takes time.Duration
	mu    sync.Mutex
	sizes []int
}

func (d *dearCall) double(_ context.Context, xs []int) ([]int, error) {
	d.mu.Lock()
	d.sizes = append(d.sizes, len(xs))
	d.mu.Unlock()
	<-time.After(d.takes)
	made := make([]int, len(xs))
	for i, x := range xs {
		made[i] = 2 * x
	}
	return made, nil
}

// wantDoubles expects the results of n items in order.
func wantDoubles(t *testing.T, q *executor.Queue[int], n int) {
	t.Helper()
	next := 0
	for r := range must(bridge.Gather(t.Context(), q))(t) {
		if r.Err != nil || r.Value != 2*next {
			t.Fatalf("item %d: %d, %v", next, r.Value, r.Err)
		}
		next++
	}
	if next != n {
		t.Errorf("%d results of %d", next, n)
	}
}

// A function whose calls cost the same for any size gets large ones, although the items were sent
// before their cost was known.
func TestABatchFunctionWithDearCallsGetsLargeBatches(t *testing.T) {
	const n = 20_000
	onBothBrokers(t, func(t *testing.T, ex *executor.Executor) {
		dear := &dearCall{takes: 50 * time.Millisecond}
		f := workers.DefineBatch("double", dear.double)
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
		wantDoubles(t, must(executor.Map(t.Context(), f, q))(t), n)
		if calls := len(dear.sizes); calls > n/200 {
			t.Errorf("%d calls for %d items, of these sizes: %v", calls, n, dear.sizes)
		}
		if dear.sizes[0] > 32 { // an entry of up to twice 16 items is not divided
			t.Errorf("the first call has %d items", dear.sizes[0])
		}
	})
}

// The same holds behind a fused item function.
func TestABatchFunctionBehindAnotherStageGetsLargeBatches(t *testing.T) {
	const n = 20_000
	onBothBrokers(t, func(t *testing.T, ex *executor.Executor) {
		dear := &dearCall{takes: 50 * time.Millisecond}
		f := workers.DefineBatch("double", dear.double)
		same := workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
		if err := ex.Register(f, same); err != nil {
			t.Fatal(err)
		}
		q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
		wantDoubles(t, must(executor.Map(t.Context(), f, must(executor.Map(t.Context(), same, q))(t)))(t), n)
		if calls := len(dear.sizes); calls > n/200 {
			t.Errorf("%d calls for %d items, of these sizes: %v", calls, n, dear.sizes)
		}
	})
}

// No call gets more items than BatchSize allows, and calls get about as many.
func TestBatchSizeBoundsCalls(t *testing.T) {
	const n = 5000
	onBothBrokers(t, func(t *testing.T, ex *executor.Executor) {
		dear := &dearCall{takes: time.Millisecond}
		f := workers.DefineBatch("double", dear.double, workers.BatchSize(50, 60))
		if err := ex.Register(f); err != nil {
			t.Fatal(err)
		}
		q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
		wantDoubles(t, must(executor.Map(t.Context(), f, q))(t), n)
		for _, size := range dear.sizes {
			if size > 60 {
				t.Fatalf("a call has %d items", size)
			}
		}
		if calls := len(dear.sizes); calls > n/10 {
			t.Errorf("%d calls for %d items, of these sizes: %v", calls, n, dear.sizes)
		}
	})
}

// Failures of single items are in their places, and failed items are retried, for any number of
// entries in a call.
func TestFailuresOfAJoinedCallAreInTheirPlaces(t *testing.T) {
	t.Parallel()
	const n = 5000
	for _, retries := range []int{0, 1} {
		t.Run(fmt.Sprint("retries ", retries), func(t *testing.T) {
			onBothBrokers(t, func(t *testing.T, ex *executor.Executor) {
				var mu sync.Mutex
				tried, calls := map[int]int{}, 0
				f := workers.DefineBatch("picky", func(_ context.Context, xs []int) ([]int, error) {
					<-time.After(5 * time.Millisecond)
					mu.Lock()
					defer mu.Unlock()
					calls++
					failed := workers.Errors{}
					for i, x := range xs {
						if tried[x]++; x%7 == 0 || x%5 == 0 && tried[x] == 1 {
							failed[i] = fmt.Errorf("not %d", x)
						}
					}
					return xs, failed
				})
				if err := ex.Register(f); err != nil {
					t.Fatal(err)
				}
				q := must(bridge.ScatterSeq(t.Context(), ex, ints(n)))(t)
				q = must(executor.Map(t.Context(), f, q, executor.Retries(retries), executor.Backoff(time.Millisecond, time.Millisecond)))(t)
				next := 0
				for r := range must(bridge.Gather(t.Context(), q))(t) {
					var item *executor.ItemError
					fails := next%7 == 0 || next%5 == 0 && retries == 0
					if fails != errors.As(r.Err, &item) || !fails && r.Value != next || fails && item.Message != fmt.Sprintf("not %d", next) {
						t.Fatalf("item %d: %d, %v", next, r.Value, r.Err)
					}
					next++
				}
				if next != n || retries == 0 && calls > n/10 { // items to be tried again are not adjacent
					t.Errorf("%d results of %d in %d calls", next, n, calls)
				}
				for x := range n {
					want := 1
					if retries > 0 && (x%7 == 0 || x%5 == 0) {
						want = 2
					}
					if tried[x] != want {
						t.Fatalf("item %d was tried %d times, not %d", x, tried[x], want)
					}
				}
			})
		})
	}
}
