package bridge_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// stages are the functions of all stages by the id of the stage.
func stages(t *testing.T, ex *executor.Executor) map[string]string {
	t.Helper()
	functions := map[string]string{}
	for _, s := range must(ex.Stages(t.Context()))(t) {
		functions[s.ID] = s.Function
	}
	return functions
}

func remove(t *testing.T, ex *executor.Executor, queues ...string) {
	t.Helper()
	for _, queue := range queues {
		if err := ex.Delete(t.Context(), queue); err != nil {
			t.Error(err)
		}
	}
}

func TestStageOfAnotherFunctionIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []int{1}, bridge.Name("numbers"))
		other := scatter(t, ex, []int{1}, bridge.Name("others"))
		results := stage(t, inc, q)
		before := must(ex.Queues(t.Context()))(t)
		_, derived := executor.Map(t.Context(), double, q)
		_, named := executor.Map(t.Context(), double, q, executor.Name(results.Name()))
		_, both := executor.Map(t.Context(), inc, q, executor.Name("elsewhere"))
		_, branches := executor.Multiplex(t.Context(), 2, q)
		for what, err := range map[string]error{"derived": derived, "named": named, "both": both, "branches": branches} {
			if !errors.Is(err, executor.ErrStageExists) || !errors.Is(err, executor.ErrTaken) || !strings.Contains(err.Error(), `function "inc"`) ||
				!strings.Contains(err.Error(), "ReplaceStage") {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, err := range []error{derived, named} {
			if err != nil && !strings.Contains(err.Error(), `function "double"`) {
				t.Errorf("the new function is not named: %v", err)
			}
		}
		if _, err := executor.Map(t.Context(), inc, other, executor.Name(results.Name())); !errors.Is(err, executor.ErrTaken) {
			t.Errorf("the out-queue of another stage: %v", err)
		}
		if after := must(ex.Queues(t.Context()))(t); len(after) != len(before) {
			t.Errorf("a refused stage leaves a queue: %+v", after)
		}
		if again := stage(t, inc, q); again.Name() != results.Name() || len(stages(t, ex)) != 1 {
			t.Errorf("the same stage again is %s, stages %v", again.Name(), stages(t, ex))
		}
		remove(t, ex, "numbers", "others", results.Name())
	}, inc, double)
}

func TestMultiplexKeepsItsBranches(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []int{1}, bridge.Name("numbers"))
		three := must(executor.Multiplex(t.Context(), 3, q))(t)
		if _, err := executor.Multiplex(t.Context(), 2, q); !errors.Is(err, executor.ErrStageExists) {
			t.Errorf("two branches instead of three: %v", err)
		}
		must(executor.Multiplex(t.Context(), 3, q))(t)
		remove(t, ex, three[0].Name(), three[1].Name(), three[2].Name(), "numbers")
	})
}

func TestReplacedStageKeepsItsBacklog(t *testing.T) {
	for name, opts := range map[string][]executor.MapOption{
		"derived": {executor.ReplaceStage()}, "named": {executor.ReplaceStage(), executor.Name("numbers.slow")},
	} {
		t.Run(name, func(t *testing.T) {
			running := make(chan struct{}, 200)
			slow := workers.Define("slow", func(ctx context.Context, x int) (int, error) {
				if x < 3 {
					return x + 1, nil
				}
				running <- struct{}{}
				<-ctx.Done()
				return 0, ctx.Err()
			})
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				q := scatter(t, ex, upTo(100), bridge.Name("numbers"), bridge.Seal())
				out := stage(t, slow, q)
				<-running
				next := stage(t, inc, q, opts...)
				if out.Name() != "numbers.slow" || next.Name() != out.Name() || stages(t, ex)[out.Name()] != "inc" {
					t.Errorf("%s is replaced by %s, stages %v", out.Name(), next.Name(), stages(t, ex))
				}
				if again := stage(t, inc, q); again.Name() != out.Name() {
					t.Errorf("the next call finds %s", again.Name())
				}
				want(t, values(t, next), upTo(101)[1:]...)
				remove(t, ex, "numbers", out.Name())
			}, slow, inc)
		})
	}
}

func TestReplacedStageOfAnotherOutQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		feed := make(chan int)
		q := must(bridge.Scatter(t.Context(), ex, feed, bridge.Name("numbers")))(t)
		old := stage(t, inc, q)
		other := stage(t, double, q, executor.ReplaceStage(), executor.Name("doubled"))
		if left := stages(t, ex); len(left) != 1 || left["doubled"] != "double" {
			t.Errorf("stages %v", left)
		}
		if _, err := executor.Map(t.Context(), inc, q, executor.Name(old.Name())); !errors.Is(err, executor.ErrStageExists) {
			t.Errorf("the old stage again: %v", err)
		}
		results := must(bridge.Gather(t.Context(), other))(t)
		go func() {
			defer close(feed)
			feed <- 7
		}()
		if r := <-results; r.Value != 14 || r.Err != nil {
			t.Errorf("got %v", r)
		}
		remove(t, ex, old.Name(), other.Name(), "numbers")
	}, inc, double)
}
