package executor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// scatterIn scatters 0 to n-1 into the named queue "in".
func scatterIn(t *testing.T, ex *executor.Executor, n int) *executor.Queue[int] {
	t.Helper()
	in := make(chan []int, 1)
	values := make([]int, n)
	for i := range values {
		values[i] = i
	}
	in <- values
	close(in)
	q, err := bridge.ScatterSlices(t.Context(), ex, in, bridge.Name("in"), bridge.Seal(), bridge.MaxBatch(1))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// tagged returns a function that puts a tag before its input. A gate holds up the calls until it is
// closed; begun gets a token for each call that waits.
func tagged(name, tag string, begun chan<- int, gate <-chan struct{}) workers.Func[int, string] {
	return workers.Define(name, func(ctx context.Context, x int) (string, error) {
		if begun != nil {
			begun <- x
		}
		select {
		case <-gate:
			return fmt.Sprint(tag, x), nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
}

// Another function takes over the queue of a removed stage: calls that run end as usual, the backlog
// stays, and a gather that reads the out-queue all the time gets each item once and in order.
func TestRemovedStageKeepsItsBacklog(t *testing.T) {
	const n, slots = 40, 4
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		begun, gate, open := make(chan int, n), make(chan struct{}), make(chan struct{})
		close(open)
		old, next := tagged("old", "old ", begun, gate), tagged("next", "next ", nil, open)
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(old, next), workers.Concurrency(slots))
		q := scatterIn(t, ex, n)
		out, err := executor.Map(t.Context(), old, q)
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		for range slots {
			<-begun
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := ex.RemoveStage(limited, "in", "old"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it does not wait for the calls: %v", err)
		}
		time.AfterFunc(time.Minute, func() { close(gate) })
		if err := ex.RemoveStage(t.Context(), "in", "old"); err != nil { // the second call waits on
			t.Fatal(err)
		}
		if len(begun) != 0 {
			t.Errorf("%d calls began afterwards", len(begun))
		}
		<-time.After(5 * time.Minute) // the gather looks for missing items many times
		after, err := executor.Map(t.Context(), next, q)
		if err != nil || after.Name() != out.Name() {
			t.Fatalf("out-queue %s: %v", after.Name(), err)
		}
		if stages, err := ex.Stages(t.Context()); err != nil || len(stages) != 1 || stages[0].Paused {
			t.Fatalf("the stages are %+v, %v", stages, err)
		}
		for i := range n {
			tag := "next"
			if i < slots {
				tag = "old"
			}
			if r := <-results; r.Err != nil || r.Value != fmt.Sprint(tag, " ", i) {
				t.Fatalf("result %d: %q, %v", i, r.Value, r.Err)
			}
		}
		if r, more := <-results; more {
			t.Errorf("one more: %v", r)
		}
		if err := errors.Join(ex.Delete(t.Context(), "in"), ex.Delete(t.Context(), out.Name())); err != nil {
			t.Error(err)
		}
	})
}

// RemoveStage waits until the items of a killed worker are back.
func TestRemoveStageAfterADeath(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		begun, gate := make(chan int, 10), make(chan struct{})
		defer close(gate)
		old := tagged("old", "old ", begun, gate)
		ex, _ := f.StartExecutor()
		worker := f.StartWorker(workers.Functions(old), workers.Concurrency(1))
		q := scatterIn(t, ex, 3)
		out, err := executor.Map(t.Context(), old, q)
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		worker.Kill()
		if err := ex.RemoveStage(t.Context(), "in", "old"); err != nil {
			t.Fatal(err)
		}
		waiting := int64(0)
		for _, q := range f.Queues() {
			waiting += q.Waiting + q.Requeued
		}
		if waiting != 3 {
			t.Errorf("%d items wait", waiting)
		}
		if err := errors.Join(ex.Delete(t.Context(), "in"), ex.Delete(t.Context(), out.Name())); err != nil {
			t.Error(err)
		}
	})
}

// On both brokers: a stage of the same function, of another one and a copy take the place of a removed
// stage.
func TestRemovedStageMakesWay(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatterIn(t, ex, 5)
		out, err := executor.Map(t.Context(), div, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range [][2]string{{"in", "inc"}, {out.Name(), "div"}} {
			if err := ex.RemoveStage(t.Context(), wrong[0], wrong[1]); !errors.Is(err, executor.ErrStageNotFound) {
				t.Errorf("%v: %v", wrong, err)
			}
		}
		if err := ex.RemoveStage(t.Context(), "none", "div"); !errors.Is(err, executor.ErrQueueNotFound) {
			t.Errorf("no queue: %v", err)
		}
		remove := func() {
			t.Helper()
			if err := ex.RemoveStage(t.Context(), "in", "div"); err != nil {
				t.Fatal(err)
			}
			stages, err := ex.Stages(t.Context())
			if err != nil || len(stages) != 1 || !stages[0].Paused {
				t.Fatalf("%+v, %v", stages, err)
			}
		}
		running := func(by string) {
			t.Helper()
			stages, err := ex.Stages(t.Context())
			if err != nil || len(stages) != 1 || stages[0].Paused {
				t.Fatalf("after %s: %+v, %v", by, stages, err)
			}
		}
		remove()
		if _, err := executor.Map(t.Context(), div, q); err != nil {
			t.Fatal(err)
		}
		running("Map of the same function")
		remove()
		if _, err := executor.Map(t.Context(), inc, q); err != nil {
			t.Fatal(err)
		}
		running("Map of another function")
		if err := ex.RemoveStage(t.Context(), "in", "inc"); err != nil {
			t.Fatal(err)
		}
		copies, err := executor.Multiplex(t.Context(), 2, q)
		if err != nil {
			t.Fatal(err)
		}
		running("Multiplex")
		for _, name := range []string{"in", out.Name(), copies[0].Name(), copies[1].Name()} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, div, inc)
}
