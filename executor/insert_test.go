package executor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A stage is inserted in the middle of a stream, while workers run items and one of them is killed. The
// gather at the end gets each item once, in order, and the backlog comes through the new stage.
func TestInsertedStage(t *testing.T) {
	const n, slots = 60, 2
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		begun, gate := make(chan int, 2*n), make(chan struct{})
		old := tagged("old", "old ", begun, gate)
		clean := workers.Define("clean", func(_ context.Context, x int) (int, error) { return x + 1000, nil })
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(old), workers.Concurrency(slots))
		victim := f.StartWorker(workers.Functions(old), workers.Concurrency(slots))
		q := scatterIn(t, ex, n)
		out, err := executor.Map(t.Context(), old, q)
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 * slots {
			<-begun
		}
		victim.Kill()
		between, err := executor.Map(t.Context(), clean, q, executor.InsertStage())
		if err != nil || between.Name() != "in.clean" {
			t.Fatalf("%v, %v", between.Name(), err)
		}
		<-time.After(5 * time.Minute) // the gather looks for missing items many times
		f.StartWorker(workers.Functions(old, clean))
		close(gate)
		for i := range n {
			if r := <-results; r.Err != nil || r.Value != fmt.Sprint("old ", i+1000) {
				t.Fatalf("result %d: %q, %v", i, r.Value, r.Err)
			}
		}
		if r, more := <-results; more {
			t.Errorf("one more: %v", r)
		}
		for _, name := range []string{"in", between.Name(), out.Name()} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	})
}

// On both brokers: stages are inserted once, in front of the stage that is there, and gathers and sources
// see one flow.
func TestInsertedStagesOnBoth(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatterIn(t, ex, 1)
		if _, err := executor.Map(t.Context(), parse, texts(t, ex), executor.InsertStage()); !errors.Is(err, executor.ErrTypeMismatch) {
			t.Errorf("another type: %v", err)
		}
		if _, err := executor.Multiplex(t.Context(), 2, q, executor.InsertStage()); err == nil || !strings.Contains(err.Error(), "one output for each item") {
			t.Errorf("a copy: %v", err)
		}
		first, err := executor.Map(t.Context(), inc, q, executor.InsertStage(), executor.Name("first")) // no stage is there
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), half, first, executor.Name("out"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := executor.Map(t.Context(), div, q, executor.InsertStage(), executor.Name("out")); err == nil {
			t.Error("the out-queue of a later stage is taken")
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		if r := <-results; r.Value != 0.5 || r.Err != nil { // (0+1)/2
			t.Errorf("%v, %v", r.Value, r.Err)
		}
		for range results {
		}
		for range 2 { // once more is the same
			if _, err := executor.Map(t.Context(), div, first, executor.InsertStage(), executor.Name("second")); err != nil {
				t.Fatal(err)
			}
		}
		stages, err := ex.Stages(t.Context())
		if err != nil || len(stages) != 3 {
			t.Fatalf("%v, %v", stages, err)
		}
		for i, want := range [][3]string{{"first", "in", "inc"}, {"second", "first", "div"}, {"out", "second", "half"}} {
			if s := stages[i]; s.ID != want[0] || s.In[0] != want[1] || s.Function != want[2] {
				t.Errorf("stage %d: %+v", i, s)
			}
		}
		for _, name := range []string{"in", "first", "second", "out", "texts"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, inc, div, half, parse)
}

// texts returns a named queue of texts.
func texts(t *testing.T, ex *executor.Executor) *executor.Queue[string] {
	t.Helper()
	in := make(chan string)
	close(in)
	q, err := bridge.Scatter(t.Context(), ex, in, bridge.Name("texts"))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// A stage that was inserted, and the stage behind it, go with the queue between them.
func TestInsertedStageGoesWithItsQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatterIn(t, ex, 1)
		if _, err := executor.Map(t.Context(), half, q, executor.Name("out")); err != nil {
			t.Fatal(err)
		}
		if _, err := executor.Map(t.Context(), inc, q, executor.InsertStage(), executor.Name("between")); err != nil {
			t.Fatal(err)
		}
		if err := ex.Delete(t.Context(), "between"); err != nil {
			t.Error(err)
		}
		if stages, err := ex.Stages(t.Context()); err != nil || len(stages) > 0 {
			t.Errorf("left are %+v, %v", stages, err)
		}
		for _, name := range []string{"in", "out"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
	}, inc, half)
}
