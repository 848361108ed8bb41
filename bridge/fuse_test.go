package bridge_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// passed tells how many items went through a named queue, and how many beside it.
func passed(t *testing.T, ex *executor.Executor, queue string) (through, beside int64) {
	t.Helper()
	for _, q := range must(ex.Queues(t.Context()))(t) {
		if q.Name == queue {
			return q.Added, q.Fused
		}
	}
	t.Fatalf("there is no queue %s", queue)
	return 0, 0
}

// Two stages of one worker are one hop, unless another reader needs the queue between them.
func TestStagesAreFused(t *testing.T) {
	for name, c := range map[string]struct {
		first, second []executor.MapOption
		through       bool
	}{
		"fused":               {nil, nil, false},
		"the first alone":     {[]executor.MapOption{executor.NoFuse()}, nil, true},
		"the second alone":    {nil, []executor.MapOption{executor.NoFuse()}, true},
		"a bound between":     {[]executor.MapOption{executor.MaxSize(100)}, nil, true},
		"the second retries":  {nil, []executor.MapOption{executor.Retries(1)}, true},
		"the first retries":   {[]executor.MapOption{executor.Retries(1)}, nil, false},
		"a bound behind both": {nil, []executor.MapOption{executor.MaxSize(100)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				const n = 2000
				in := make(chan int)
				q := must(bridge.Scatter(t.Context(), ex, in))(t)
				between := stage(t, inc, q, append(c.first, executor.Name("between"))...)
				out := must(bridge.Gather(t.Context(), stage(t, double, between, append(c.second, executor.Name("out"))...)))(t)
				in <- 0 // when it has come out, the worker knows both stages
				first := <-out
				go func() {
					defer close(in)
					for i := 1; i < n; i++ {
						in <- i
					}
				}()
				for i := range n {
					r := first
					if i > 0 {
						r = <-out
					}
					if r.Err != nil || r.Value != 2*(i+1) {
						t.Fatalf("result %d is %+v", i, r)
					}
				}
				if r, more := <-out; more {
					t.Errorf("a result too many: %+v", r)
				}
				if through, beside := passed(t, ex, "between"); through+beside != n || (through == n) != c.through {
					t.Errorf("%d items went through the queue between, and %d beside it", through, beside)
				}
				deleteAll(t, ex, "between", "out")
			}, inc, double)
		})
	}
}

func deleteAll(t *testing.T, ex *executor.Executor, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := ex.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// A failure in one of two fused stages is an error in the place of its item, and names that stage.
func TestFailuresOfFusedStages(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		var calls atomic.Int64
		second := workers.Define("second", func(_ context.Context, x int) (int, error) {
			calls.Add(1)
			if x%3 == 0 {
				return 0, errors.New("three")
			}
			return x, nil
		})
		register(t, ex, second)
		const n = 999
		out := must(bridge.Gather(t.Context(), stage(t, second, stage(t, odd, scatter(t, ex, upTo(n))))))(t)
		i := 0
		for r := range out {
			var failed *executor.ItemError
			switch errors.As(r.Err, &failed); {
			case i%2 == 0 && (failed == nil || failed.Function != "odd"),
				i%2 == 1 && i%3 == 0 && (failed == nil || failed.Function != "second"),
				i%2 == 1 && i%3 != 0 && (r.Err != nil || r.Value != i):
				t.Fatalf("result %d is %+v", i, r)
			}
			i++
		}
		if i != n || calls.Load() != n/2 {
			t.Errorf("%d results, the second function was called %d times", i, calls.Load())
		}
	}, odd)
}

// If the second stage takes long, its unfinished items go into the queue between, where other
// workers find them.
func TestADearSecondStageIsLeftToOthers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		var most, now atomic.Int64
		dear := workers.Define("dear", func(_ context.Context, x int) (int, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			if x%50 == 0 { // longer than a slot stays with a batch
				<-time.After(15 * time.Millisecond)
			}
			return x, nil
		})
		staged := make(chan struct{})
		first := workers.Define("first", func(_ context.Context, x int) (int, error) {
			<-staged
			if x%10 == 0 { // the worker hears of the second stage before all items are through
				<-time.After(time.Millisecond)
			}
			return x + 1, nil
		})
		register(t, ex, first, dear)
		in := scatter(t, ex, upTo(5000), bridge.Name("in"), bridge.Seal()) // in growing batches, since the cost is unknown
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		between := stage(t, first, in, executor.Name("between"))
		out := stage(t, dear, between, executor.Name("out"))
		close(staged)
		want(t, values(t, out), upTo(5001)[1:]...)
		if through, beside := passed(t, ex, "between"); through == 0 || beside == 0 || through+beside != 5000 || most.Load() < 2 {
			t.Errorf("%d items went through the queue between, %d beside it; of four slots, %d worked at once", through, beside, most.Load())
		}
		deleteAll(t, ex, "in", "between", "out")
	})
}

// A stage that is added while items flow is fused from then on, and workers that
// have one of the functions alone take part.
func TestAStageIsFusedWithAFlowThatRuns(t *testing.T) {
	url := namespace(t)
	ex := connect(t, url, inc, double)
	work(t, url, inc)
	work(t, url, double)
	in := make(chan int)
	defer close(in)
	between := stage(t, inc, must(bridge.Scatter(t.Context(), ex, in, bridge.Name("in")))(t), executor.Name("between"))
	for i := range 100 {
		in <- i
	}
	waitFor(t, func() bool { through, _ := passed(t, ex, "between"); return through == 100 })
	out := must(bridge.Gather(t.Context(), stage(t, double, between, executor.Name("out"))))(t)
	for i := 0; ; i++ {
		if i >= 100 {
			in <- i
		}
		if r := <-out; r.Err != nil || r.Value != 2*(i+1) {
			t.Fatalf("result %d is %+v", i, r)
		}
		if _, beside := passed(t, ex, "between"); beside > 0 {
			break
		}
	}
	deleteAll(t, ex, "in", "between", "out")
}

func TestSlicesAndFusedStages(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n = 50_000
		q := must(bridge.ScatterSlices(t.Context(), ex, fed(slices.Collect(slices.Chunk(upTo(n), 777))...)))(t)
		out := must(bridge.GatherSlices(t.Context(), stage(t, inc, stage(t, inc, stage(t, inc, q)))))(t)
		for i, r := range join(t, out) {
			if r.Err != nil || r.Value != i+3 {
				t.Fatalf("result %d is %+v", i, r)
			}
		}
	}, inc)
}
