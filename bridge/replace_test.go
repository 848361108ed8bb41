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
			if !errors.Is(err, executor.ErrStageExists) || !errors.Is(err, executor.ErrConsumerExists) || !strings.Contains(err.Error(), `function "inc"`) ||
				!strings.Contains(err.Error(), "ReplaceStage") {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, err := range []error{derived, named} {
			if err != nil && !strings.Contains(err.Error(), `function "double"`) {
				t.Errorf("the new function is not named: %v", err)
			}
		}
		if _, err := executor.Map(t.Context(), inc, other, executor.Name(results.Name())); !errors.Is(err, executor.ErrConsumerExists) {
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
	t.Parallel()
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
		left := must(bridge.Gather(t.Context(), old, bridge.ManualAck()))(t)
		feed <- 4
		if r := <-left; r.Value != 5 || r.Err != nil || r.AckWait(t.Context()) != nil {
			t.Errorf("got %v", r)
		}
		other := stage(t, double, q, executor.ReplaceStage(), executor.Name("doubled"))
		if now := stages(t, ex); len(now) != 1 || now["doubled"] != "double" {
			t.Errorf("stages %v", now)
		}
		if r := <-left; !errors.Is(r.Err, executor.ErrStageReplaced) {
			t.Errorf("the gather of the old out-queue gets %v", r)
		}
		if _, err := executor.Map(t.Context(), inc, q, executor.Name(old.Name())); !errors.Is(err, executor.ErrStageExists) {
			t.Errorf("the old stage again: %v", err)
		}
		if _, open := <-left; open {
			t.Error("behind the end a result")
		}
		again := must(bridge.Gather(t.Context(), old))(t)
		if r := <-again; !errors.Is(r.Err, executor.ErrStageReplaced) {
			t.Errorf("a later gather of the old out-queue gets %v", r)
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

// The old out-queue holds items behind one that goes to the new function: its gather brings these, in order.
func TestReplacedStageLeavesItsResults(t *testing.T) {
	stuck := workers.Define("stuck", func(ctx context.Context, x int) (int, error) {
		if x == 0 {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return x, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(10), bridge.Name("numbers"), bridge.Seal())
		old := stage(t, stuck, q)
		waitFor(t, func() bool { return must(old.Len(t.Context()))(t) == 9 })
		stage(t, double, q, executor.ReplaceStage(), executor.Name("doubled"))
		next := 1
		for r := range must(bridge.Gather(t.Context(), old))(t) {
			if end := next == 10; end != errors.Is(r.Err, executor.ErrStageReplaced) || !end && (r.Err != nil || r.Value != next) {
				t.Errorf("%v in the place of %d", r, next)
			}
			next++
		}
		if next != 11 {
			t.Errorf("%d results", next-1)
		}
		remove(t, ex, old.Name(), "doubled", "numbers")
	}, stuck, double)
}
