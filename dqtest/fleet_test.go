package dqtest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A counter counts the calls of a function, each of which takes a second.
type counter struct {
	mu      sync.Mutex
	calls   map[int]int
	largest int // largest number of items of a call
}

func (c *counter) function(name string) workers.Func[int, int] {
	return workers.Define(name, func(ctx context.Context, x int) (int, error) {
		c.mu.Lock()
		c.calls[x]++
		c.mu.Unlock()
		select {
		case <-time.After(time.Second):
			return x + 1, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
}

func (c *counter) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, calls := range c.calls {
		n += calls
	}
	return n
}

const items = 20

// flow makes a queue of the numbers below items, and a stage over it.
func flow(t *testing.T, ex *executor.Executor, f workers.Func[int, int]) *executor.Queue[int] {
	t.Helper()
	in := make([]int, items)
	for i := range in {
		in[i] = i
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in))
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), f, q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// check gathers the results of flow.
func check(t *testing.T, q *executor.Queue[int]) {
	t.Helper()
	n := 0
	for v, err := range bridge.All(t.Context(), q) {
		if n++; err != nil || v != n {
			t.Errorf("result %d is %d, %v", n, v, err)
		}
	}
	if n != items {
		t.Errorf("there are %d results", n)
	}
}

// Faults that do not change the results. extra is the number of additional calls that a fault may
// cause.
func TestResultsSurviveFaults(t *testing.T) {
	for what, c := range map[string]struct {
		strike func(f *dqtest.Fleet, executor, worker *dqtest.Process)
		extra  int
	}{
		"nothing":             {func(*dqtest.Fleet, *dqtest.Process, *dqtest.Process) {}, 0},
		"cut connections":     {func(f *dqtest.Fleet, _, _ *dqtest.Process) { f.CutConnections() }, 0},
		"lost worker replies": {func(_ *dqtest.Fleet, _, w *dqtest.Process) { w.LoseReplies(3) }, 0},
		"lost replies":        {func(_ *dqtest.Fleet, ex, _ *dqtest.Process) { ex.LoseReplies(3) }, 0},
		"kill":                {func(_ *dqtest.Fleet, _, w *dqtest.Process) { w.Kill() }, items},
		"terminate": {func(f *dqtest.Fleet, _, w *dqtest.Process) {
			if err := w.Terminate(); err != nil {
				panic(err)
			}
		}, 0},
		"short stop": {func(_ *dqtest.Fleet, _, w *dqtest.Process) { w.Stop(); <-time.After(time.Second); w.Continue() }, 0},
		"long stop":  {func(_ *dqtest.Fleet, _, w *dqtest.Process) { w.Stop(); <-time.After(time.Minute); w.Continue() }, items},
	} {
		t.Run(what, func(t *testing.T) {
			dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
				calls := &counter{calls: map[int]int{}}
				inc := calls.function("inc")
				ex, process := f.StartExecutor()
				w := f.StartWorker(workers.Functions(inc), workers.Concurrency(2))
				f.StartWorker(workers.Functions(inc), workers.Concurrency(2))
				out := flow(t, ex, inc)
				<-time.After(2500 * time.Millisecond)
				c.strike(f, process, w)
				check(t, out)
				if n := calls.total(); n < items || n > items+c.extra {
					t.Errorf("%d items took %d calls, at most %d in addition are allowed", items, n, c.extra)
				}
			})
		})
	}
}

// The only worker runs exactly as many items as it may: its slot ends with it.
func TestKillAfterKillsWorker(t *testing.T) {
	for n := 1; n <= items; n++ {
		dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
			calls := &counter{calls: map[int]int{}}
			inc := calls.function("inc")
			ex, _ := f.StartExecutor()
			f.StartWorker(workers.Functions(inc), workers.Concurrency(1)).KillAfter(n)
			out := flow(t, ex, inc)
			<-time.After(time.Minute)
			if got := calls.total(); got != n {
				t.Errorf("a worker that is killed after %d items has run %d", n, got)
			}
			f.StartWorker(workers.Functions(inc), workers.Concurrency(4))
			check(t, out)
		})
	}
}

// An Executor that runs functions itself is killed after its items, like a worker.
func TestKillAfterKillsExecutor(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		calls := &counter{calls: map[int]int{}}
		inc := calls.function("inc")
		ex, process := f.StartExecutor(executor.Concurrency(1))
		if err := ex.Register(inc); err != nil {
			t.Fatal(err)
		}
		process.KillAfter(3)
		flow(t, ex, inc)
		<-time.After(time.Minute)
		if got := calls.total(); got != 3 {
			t.Errorf("an Executor that is killed after 3 items has run %d", got)
		}
	})
}

// The queues of a killed Executor stay for ten minutes; then another process deletes them.
func TestQueuesOfDeadExecutorAreDeleted(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		calls := &counter{calls: map[int]int{}}
		inc := calls.function("inc")
		ex, process := f.StartExecutor()
		f.StartWorker(workers.Functions(inc), workers.Concurrency(1))
		flow(t, ex, inc)
		if n := len(f.Queues()); n != 2 {
			t.Errorf("there are %d queues", n)
		}
		process.Kill()
		<-time.After(11 * time.Minute)
		if queues := f.Queues(); len(queues) > 0 {
			t.Errorf("queues of a dead executor are left: %+v", queues)
		}
	})
}
