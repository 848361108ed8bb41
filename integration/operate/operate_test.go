// Package operate plants the faults that operators meet, and asks what an operator sees. Flows run on
// the embedded broker in virtual time.
package operate

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/workers"
)

// settles is the time in which an operator should see the fault.
const settles = 40 * time.Second

// stays returns the time for which the answer should stay.
func stays() time.Duration {
	if *long {
		return 2 * time.Minute
	}
	return 30 * time.Second
}

// pause waits, or ends with ctx.
func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// takes returns a function that takes some time for an item.
func takes(name string, d time.Duration) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, n int) (int, error) {
		pause(ctx, d)
		return n, ctx.Err()
	})
}

// A scene is a flow of two stages with a planted fault.
type scene struct {
	first, second workers.Func[int, int]
	apart         bool                 // the stages are not fused
	every         time.Duration        // between two items
	reads         time.Duration        // that the program takes for a result; negative: it does not gather
	also          bool                 // another flow runs the first function
	none          bool                 // no worker has the second function
	limits        []executor.MapOption // of the second stage
}

// play runs a scene. It returns what an operator sees of the flow, every two seconds from the
// fortieth one on.
func (s scene) play(t *testing.T) (seen []inspect.Flow) {
	t.Helper()
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		held := []workers.Function{s.first}
		if !s.none {
			held = append(held, s.second)
		}
		for range 2 {
			f.StartWorker(workers.Functions(held...), workers.Concurrency(2))
		}
		ex, _ := f.StartExecutor()
		if s.also {
			s.flow(ctx, t, ex, "other")
		}
		s.flow(ctx, t, ex, "orders")
		pause(ctx, settles)
		for began := time.Now(); time.Since(began) < stays(); pause(ctx, 2*time.Second) {
			state, err := ex.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			flows := state.Flows()
			seen = append(seen, flows[slices.IndexFunc(flows, func(f inspect.Flow) bool { return f.Name == "orders" })])
		}
		s.clear(t, ex)
	})
	return seen
}

// clear deletes the queues of a scene.
func (s scene) clear(t *testing.T, ex *executor.Executor) {
	t.Helper()
	names := []string{"orders", "orders-1", "orders-2"}
	if s.also {
		names = append(names, "other", "other-1", "other-2")
	}
	for _, name := range names {
		if err := ex.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}

// flow begins to scatter, to map twice and to gather, until ctx ends.
func (s scene) flow(ctx context.Context, t *testing.T, ex *executor.Executor, name string) {
	t.Helper()
	in, err := bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) {
		for n := 0; ctx.Err() == nil && yield(n); n++ {
			pause(ctx, s.every)
		}
	}, bridge.Name(name), bridge.MaxSize(400), bridge.MaxBatch(20))
	if err != nil {
		t.Fatal(err)
	}
	var first []executor.MapOption
	if s.apart {
		first = append(first, executor.NoFuse())
	}
	mid, err := executor.Map(ctx, s.first, in, append(first, executor.Name(name+"-1"), executor.MaxSize(200))...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(ctx, s.second, mid, append(s.limits, executor.Name(name+"-2"), executor.MaxSize(200))...)
	if err != nil || s.reads < 0 {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	results, err := bridge.Gather(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range results {
			pause(ctx, s.reads)
		}
	}()
}

// hangs returns a function that does not return for the first item of a source.
func hangs(name string) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			<-ctx.Done()
		}
		pause(ctx, 10*time.Millisecond)
		return n, ctx.Err()
	})
}

// The planted cause is named within forty seconds, and stays the answer.
func TestPlantedBottleneckIsNamed(t *testing.T) {
	fast, quick, slow := takes("fast", 10*time.Millisecond), takes("quick", 10*time.Millisecond), takes("slow", 500*time.Millisecond)
	for name, c := range map[string]struct {
		scene
		kind, stage, queue string
	}{
		"slow first stage":        {scene{first: slow, second: fast, apart: true}, inspect.FewSlots, "orders-1", ""},
		"slow second stage":       {scene{first: fast, second: slow, apart: true}, inspect.FewSlots, "orders-2", ""},
		"slow fused second stage": {scene{first: fast, second: slow}, inspect.FewSlots, "orders-2", ""},
		"slow fused first stage":  {scene{first: slow, second: fast}, inspect.FewSlots, "orders-1", ""},
		"slow reader":             {scene{first: fast, second: quick, reads: 250 * time.Millisecond}, inspect.SlowReader, "", "orders-2"},
		"slow producer":           {scene{first: fast, second: quick, every: 250 * time.Millisecond}, inspect.SlowProducer, "", "orders"},
		"calls at once":           {scene{first: fast, second: slow, limits: []executor.MapOption{executor.MaxConcurrency(1)}}, inspect.StageLimit, "orders-2", ""},
		"rate of calls":           {scene{first: fast, second: quick, limits: []executor.MapOption{executor.RateLimit(5, time.Second)}}, inspect.StageLimit, "orders-2", ""},
		"one item":                {scene{first: hangs("first"), second: quick, every: 250 * time.Millisecond}, inspect.OneItem, "", "orders-2"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, f := range c.play(t) {
				if b := f.Bottleneck; f.State != "running" || b == nil || b.Kind != c.kind || b.Stage != c.stage || b.Queue != c.queue {
					t.Fatalf("look %d: %s %s %+v", i, f.State, f.Why, b)
				}
			}
		})
	}
}

// A flow that stands still says so, and why.
func TestPlantedStandstillIsExplained(t *testing.T) {
	fast, quick := takes("fast", 10*time.Millisecond), takes("quick", 10*time.Millisecond)
	for name, c := range map[string]struct {
		scene
		state, why string
	}{
		"no worker": {scene{first: fast, second: quick, none: true}, "stuck", "no worker has the function of stage orders-2 (quick)"},
		"rare calls": {
			scene{first: fast, second: quick, limits: []executor.MapOption{executor.RateLimit(1, time.Hour)}},
			"waiting", "stage orders-2 (quick) waits for its limit: 1 calls in 1h0m0s",
		},
		"not gathered": {scene{first: fast, second: quick, reads: -1}, "stuck", "queue orders-2 is full, and no program gathers it"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, f := range c.play(t) {
				if f.State != c.state || f.Why != c.why || f.Remedy == "" {
					t.Fatalf("look %d: %s, %q, %q", i, f.State, f.Why, f.Remedy)
				}
			}
		})
	}
}
