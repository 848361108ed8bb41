package workers_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A function that ends its goroutine is the failure of that item, with one slot and with several,
// alone and behind another stage. All other items have their results, and the worker ends normally.
func TestGoexitEndsNoSlot(t *testing.T) {
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	quits := workers.Define("quits", func(_ context.Context, x int) (int, error) {
		if x%100 == 7 {
			runtime.Goexit()
		}
		return -x, nil
	})
	all := workers.DefineBatch("all", func(_ context.Context, xs []int) ([]int, error) {
		for i := range xs {
			if xs[i]%100 == 7 {
				runtime.Goexit()
			}
			xs[i] = -xs[i]
		}
		return xs, nil
	}, workers.BatchSize(1, 1))
	for name, f := range map[string]workers.Func[int, int]{"items": quits, "batches": all} {
		for _, slots := range []int{1, 4} {
			t.Run(name, func(t *testing.T) {
				url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
				w := must(workers.New(url, workers.Concurrency(slots), workers.Functions(inc, f)))(t)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- w.Run(ctx) }()
				const n = 1000
				ex := must(executor.New(t.Context(), url))(t)
				in := make(chan int)
				q := must(bridge.Scatter(t.Context(), ex, in, bridge.MaxBatch(1)))(t)
				q = must(executor.Map(t.Context(), f, must(executor.Map(t.Context(), inc, q))(t)))(t)
				out := must(bridge.Gather(t.Context(), q))(t)
				go count(in, n)
				next := 1
				for r := range out {
					var item *executor.ItemError
					switch {
					case next%100 == 7:
						if !errors.As(r.Err, &item) || !strings.Contains(r.Err.Error(), "runtime.Goexit") {
							t.Errorf("%d: %v", next, r.Err)
						}
					case r.Err != nil || r.Value != -next:
						t.Errorf("%d: %d, %v", next, r.Value, r.Err)
					}
					next++
				}
				if next != n+1 {
					t.Errorf("%d results of %d", next-1, n)
				}
				stop()
				if err := errors.Join(<-ended, ex.Close()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func count(in chan<- int, n int) {
	defer close(in)
	for i := range n {
		in <- i
	}
}
