package dqtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/workers"
)

// batches is function as a batch function. A call takes a second for any number of items.
func (c *counter) batches(name string) workers.Func[int, int] {
	return workers.DefineBatch(name, func(ctx context.Context, xs []int) ([]int, error) {
		made := make([]int, len(xs))
		c.mu.Lock()
		for i, x := range xs {
			c.calls[x]++
			made[i] = x + 1
		}
		c.largest = max(c.largest, len(xs))
		c.mu.Unlock()
		select {
		case <-time.After(time.Second):
			return made, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

// A call with several entries is as safe as one with a single entry: if its worker is killed,
// stopped until it is fenced, or cut off, no item is lost or delivered twice.
func TestBatchCallsSurviveFaults(t *testing.T) {
	for what, c := range map[string]struct {
		strike func(w *dqtest.Process) error
		extra  int
	}{
		"kill":         {func(w *dqtest.Process) error { w.Kill(); return nil }, items},
		"long stop":    {func(w *dqtest.Process) error { w.Stop(); <-time.After(time.Minute); w.Continue(); return nil }, items},
		"short stop":   {func(w *dqtest.Process) error { w.Stop(); <-time.After(time.Second); w.Continue(); return nil }, 0},
		"lost replies": {func(w *dqtest.Process) error { w.LoseReplies(3); return nil }, 0},
		"terminate":    {func(w *dqtest.Process) error { return w.Terminate() }, 0},
	} {
		for _, after := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond} {
			t.Run(what, func(t *testing.T) {
				dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
					calls := &counter{calls: map[int]int{}}
					inc := calls.batches("inc")
					ex, _ := f.StartExecutor()
					w := f.StartWorker(workers.Functions(inc), workers.Concurrency(2))
					out := flow(t, ex, inc)
					<-time.After(after)
					f.StartWorker(workers.Functions(inc), workers.Concurrency(2))
					if err := c.strike(w); err != nil {
						t.Error(err)
					}
					check(t, out)
					if n := calls.total(); n < items || n > items+c.extra {
						t.Errorf("%d items were in %d calls, at most %d in addition are allowed", items, n, c.extra)
					}
					if calls.largest < 2 {
						t.Error("no call had several items")
					}
				})
			})
		}
	}
}
