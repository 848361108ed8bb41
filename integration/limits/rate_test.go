// Package limits_test runs stages with limits of all workers together, in virtual time and on a server.
package limits_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// calls records when the calls of a function begin, and how many run at once.
type calls struct {
	mu            sync.Mutex
	starts        []time.Time
	sizes         []int
	running, most int
}

func (c *calls) begin(items int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts, c.sizes = append(c.starts, time.Now()), append(c.sizes, items)
	c.running++
	c.most = max(c.most, c.running)
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
}

// function returns a function that takes a time.
func (c *calls) function(took time.Duration) workers.Func[int, int] {
	return workers.Define("call", func(ctx context.Context, x int) (int, error) {
		c.begin(1)
		defer c.end()
		return x, sleep(ctx, took)
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// since returns the times of all calls from the first one on.
func (c *calls) since() (times []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.starts, time.Time.Compare)
	for _, at := range c.starts {
		times = append(times, at.Sub(c.starts[0]))
	}
	return times
}

// mostIn returns the largest number of times in any span of a length.
func mostIn(times []time.Duration, span time.Duration) (most int) {
	for i, from := range times {
		n := 0
		for _, at := range times[i:] {
			if at-from < span {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// gather runs items through a stage and compares the results with the items.
func gather(t *testing.T, ex *executor.Executor, f workers.Func[int, int], n int, opts ...executor.MapOption) {
	t.Helper()
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(n)))
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), f, q, opts...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := values(t, out)
	if err != nil || !slices.Equal(got, upTo(n)) {
		t.Fatalf("the results are %v, %v", got, err)
	}
}

func TestRateLimitSpreadsCallsEvenly(t *testing.T) {
	for name, c := range map[string]struct {
		opts  []executor.MapOption
		first int // calls at once
		last  time.Duration
		most  int // calls in a second
	}{
		"rate":  {[]executor.MapOption{executor.RateLimit(100, time.Second)}, 1, 3490 * time.Millisecond, 100},
		"burst": {[]executor.MapOption{executor.RateLimit(100, time.Second), executor.Burst(50)}, 50, 3 * time.Second, 149},
	} {
		t.Run(name, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				t.Helper()
				var made calls
				call := made.function(30 * time.Millisecond)
				for range 3 {
					f.StartWorker(workers.Functions(call), workers.Concurrency(30))
				}
				ex, _ := f.StartExecutor()
				gather(t, ex, call, 350, c.opts...)
				times := made.since()
				if len(times) != 350 || mostIn(times, time.Second) > c.most {
					t.Errorf("%d calls, %d in a second", len(times), mostIn(times, time.Second))
				}
				if n := mostIn(times, time.Millisecond); n < c.first || times[c.first-1] > 5*time.Millisecond {
					t.Errorf("%d calls begin at once: %v", n, times[:c.first])
				}
				if last := times[349]; last < c.last-5*time.Millisecond || last > c.last+50*time.Millisecond {
					t.Errorf("the last call begins at %v", last)
				}
			})
		})
	}
}

// values returns the values of a queue.
func values(t *testing.T, q *executor.Queue[int]) (got []int, err error) {
	t.Helper()
	for x, err := range bridge.All(t.Context(), q) {
		if err != nil {
			return got, err
		}
		got = append(got, x)
	}
	return got, nil
}

// The outputs of one item travel together, and may be more than a burst.
func TestRateLimitAdmitsOutputsOfOneItem(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		var made calls
		call := made.function(0)
		repeat := workers.DefineFlatMap("repeat", func(_ context.Context, x int, emit func(int)) error {
			for range 50 {
				emit(x)
			}
			return nil
		})
		f.StartWorker(workers.Functions(repeat, call))
		ex, _ := f.StartExecutor()
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(3)))
		if err != nil {
			t.Fatal(err)
		}
		if q, err = flow.FlatMap(t.Context(), repeat, q); err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), call, q, executor.RateLimit(100, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := values(t, out); err != nil || len(got) != 150 || len(made.since()) != 150 {
			t.Errorf("%d results of %d calls, %v", len(got), len(made.since()), err)
		}
	})
}
