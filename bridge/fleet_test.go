package bridge_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// tally counts the calls with each value.
type tally struct {
	mu    sync.Mutex
	calls map[int]int
}

func (c *tally) add(x int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[int]int{}
	}
	c.calls[x]++
}

// once wants exactly one call for each of n values.
func (c *tally) once(t *testing.T, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) != n {
		t.Errorf("called with %d values of %d", len(c.calls), n)
	}
	for x, calls := range c.calls {
		if calls != 1 {
			t.Errorf("called %d times with %d", calls, x)
		}
	}
}

// jitter is inc that takes any time up to most.
func jitter(most time.Duration, c *tally) workers.Func[int, int] {
	return workers.Define("jitter", func(ctx context.Context, x int) (int, error) {
		c.add(x)
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(most)))):
			return x + 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

func TestOrderOnFourWorkers(t *testing.T) {
	const n = 400
	url := namespace(t)
	ex := connect(t, url)
	var calls tally
	f := jitter(4*time.Millisecond, &calls)
	for range 4 {
		work(t, url, f, double)
	}
	got := values(t, stage(t, double, stage(t, f, scatter(t, ex, upTo(n)))))
	for i, v := range got {
		if v != 2*(i+1) {
			t.Fatalf("result %d is %d", i, v)
		}
	}
	if len(got) != n {
		t.Errorf("%d results", len(got))
	}
	calls.once(t, n)
}

// Four workers, of which one leaves and one comes now and then.
func TestAFleetThatChangesKeepsTheOrder(t *testing.T) {
	const n = 2000
	url := namespace(t)
	ex := connect(t, url)
	var calls tally
	f := jitter(2*time.Millisecond, &calls)
	var fleet errgroup.Group
	var stops []context.CancelFunc
	start := func() {
		ctx, stop := context.WithCancel(t.Context())
		w := must(workers.New(url, workers.Concurrency(4), workers.Functions(f)))(t)
		fleet.Go(func() error { return w.Run(ctx) })
		stops = append(stops, stop)
	}
	for range 4 {
		start()
	}
	next := 0
	for v, err := range bridge.All(t.Context(), stage(t, f, scatter(t, ex, upTo(n))), bridge.Buffer(0)) {
		if next++; err != nil || v != next {
			t.Fatalf("%d, %v where %d belongs", v, err, next)
		}
		if next%500 == 0 {
			stops[next/500-1]()
			start()
		}
	}
	calls.once(t, n)
	for _, stop := range stops {
		stop()
	}
	if err := fleet.Wait(); err != nil {
		t.Error(err)
	}
}

// Hours of work in virtual time: no item is run twice, since a worker with a long function is not
// dead.
func TestOrderOfLongFunctionsInFourSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 100
		var calls tally
		f := jitter(time.Minute, &calls)
		ex := must(executor.New(t.Context(), "", executor.Concurrency(4)))(t)
		register(t, ex, f)
		begin := time.Now()
		want(t, values(t, stage(t, f, scatter(t, ex, upTo(n)))), upTo(n + 1)[1:]...)
		calls.once(t, n)
		if took, serial := time.Since(begin), n*time.Minute/2; took > serial/2 {
			t.Errorf("it took %v, about %v of work for four slots", took, serial)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAWorkerThatComesLaterRunsTheStage(t *testing.T) {
	url := namespace(t)
	ex := connect(t, url)
	results := must(bridge.Gather(t.Context(), stage(t, inc, scatter(t, ex, upTo(100)))))(t)
	future := must(executor.Submit(t.Context(), ex, inc, 7))(t)
	work(t, url, inc)
	for i := range 100 {
		if r := <-results; r.Err != nil || r.Value != i+1 {
			t.Fatalf("result %d is %v", i, r)
		}
	}
	if v := must(future.Result(t.Context()))(t); v != 8 {
		t.Errorf("the future is %d", v)
	}
}

// When a loop over All is left, the results that the loop has received are delivered. The results
// in the buffer are not.
func TestWhoLeavesALoopLosesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 1000
		q := scatter(t, ex, upTo(n), bridge.Name("numbers"), bridge.Seal())
		next := 0
		for part := range 4 {
			for v, err := range bridge.All(t.Context(), q) {
				if err != nil || v != next {
					t.Fatalf("part %d: %d, %v where %d belongs", part, v, err, next)
				}
				if next++; next == 100*(part+1) {
					break
				}
			}
		}
		want(t, values(t, q), upTo(n)[400:]...)
		if err := ex.Delete(t.Context(), "numbers"); err != nil {
			t.Error(err)
		}
	})
}
