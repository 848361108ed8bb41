package bridge_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// endless sends 0, 1, 2 and so on into a named queue, until the test has ended.
func endless(t *testing.T, ex *executor.Executor, opts ...bridge.ScatterOption) *executor.Queue[int] {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	q := must(bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	}, append(opts, bridge.Name("events"))...))(t)
	t.Cleanup(func() {
		cancel()
		<-q.Done()
		if err := ex.Delete(context.WithoutCancel(t.Context()), "events"); err != nil {
			t.Error(err)
		}
	})
	return q
}

// take receives n results and gives the queue up. It returns the value behind the last one, and how many results were
// errors of items that are no longer there.
func take(t *testing.T, q *executor.Queue[int], from, n int) (next, lost int) {
	t.Helper()
	next = from
	for v, err := range bridge.All(t.Context(), q, bridge.Buffer(0)) {
		switch {
		case errors.Is(err, executor.ErrLost):
			lost++
		case err != nil || v != next:
			t.Fatalf("result %d, %v instead of %d", v, err, next)
		}
		if next++; next == from+n {
			break
		}
	}
	return next, lost
}

// The queue of a consumer is deleted and another consumer takes its place, as a deployment does it. The next gather goes
// on behind the items that the last one delivered, and the producer is held by no mark of the deleted queue. Only the
// items that the deleted queue had, and no gather had taken, are told as lost.
func TestTheNextConsumerGoesOn(t *testing.T) {
	v1 := workers.Define("v1", func(_ context.Context, x int) (int, error) { return x, nil })
	v2 := workers.Define("v2", func(_ context.Context, x int) (int, error) { return x, nil })
	const window = 50
	for what, opts := range map[string][]bridge.ScatterOption{
		"window": {bridge.MaxInFlight(window)}, "named source": {bridge.MaxInFlight(window), bridge.DurableSource("site-1")},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				t.Helper()
				q := endless(t, ex, opts...)
				at := 0
				for _, f := range []workers.Func[int, int]{v1, v2} {
					out := must(executor.Map(t.Context(), f, q))(t)
					next, lost := take(t, out, at, 5*window)
					if most := 2 * window; at > 0 && lost > most {
						t.Errorf("from %d on %d items are lost, at most %d were in the deleted queue", at, lost, most)
					}
					at = next
					if err := ex.Delete(t.Context(), out.Name()); err != nil {
						t.Fatal(err)
					}
				}
			}, v1, v2)
		})
	}
}

// A stage follows a gather, and a gather follows the stage: no item is delivered by two of them.
func TestAStageGoesOnBehindAGather(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		t.Helper()
		q := endless(t, ex, bridge.MaxInFlight(50))
		at, lost := take(t, q, 0, 200)
		out := must(executor.Map(t.Context(), inc, q))(t)
		n := 0
		for v, err := range bridge.All(t.Context(), out) {
			if err != nil || v != at+n+1 {
				t.Fatalf("result %d: %d, %v", n, v, err)
			}
			if n++; n == 200 {
				break
			}
		}
		if err := ex.Delete(t.Context(), out.Name()); err != nil {
			t.Fatal(err)
		}
		_, after := take(t, q, at+n, 200)
		if lost > 0 || after > 100 {
			t.Errorf("%d items are lost, and %d behind the stage, whose queue had at most 100", lost, after)
		}
	}, inc)
}

// One branch of a multiplexed queue is deleted. The other one goes on, and the producer is not held.
func TestABranchOutlivesTheOther(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		t.Helper()
		q := endless(t, ex, bridge.MaxInFlight(50))
		branches := must(executor.Multiplex(t.Context(), 2, q))(t)
		for _, branch := range branches {
			take(t, branch, 0, 30)
		}
		if err := ex.Delete(t.Context(), branches[0].Name()); err != nil {
			t.Fatal(err)
		}
		if next, lost := take(t, branches[1], 30, 500); next != 530 || lost > 0 {
			t.Errorf("the branch that stays comes to %d, %d are lost", next, lost)
		}
		for _, stage := range must(ex.Stages(t.Context()))(t) {
			for _, out := range stage.Out {
				if out == branches[0].Name() {
					t.Errorf("stage %s adds to the deleted queue %s", stage.ID, out)
				}
			}
		}
		if err := ex.Delete(t.Context(), branches[1].Name()); err != nil {
			t.Fatal(err)
		}
	}, inc)
}
