package bridge_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// cut receives the one result that is left of a gather that was cut.
func cut(t *testing.T, results <-chan bridge.Result[int], why error) {
	t.Helper()
	if r := <-results; !errors.Is(r.Err, why) || bridge.IsItemError(r.Err) {
		t.Errorf("the gather ends with %v, not with %v", r, why)
	}
	for r := range results {
		t.Errorf("behind the end %v", r)
	}
}

// buffers are the options of gathers with room for none, one, some and all of 100 results.
var buffers = map[string][]bridge.GatherOption{"0": {bridge.Buffer(0)}, "1": {bridge.Buffer(1)}, "7": {bridge.Buffer(7)}, "default": nil}

// The program does not receive when the context ends, and the channel is full. The last result has
// the reason all the same, and the next gather gets the other results again.
func TestAGatherThatIsCutEndsWithTheReason(t *testing.T) {
	const n = 100
	why := errors.New("no time")
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for name, buffer := range buffers {
			q := scatter(t, ex, upTo(n), bridge.Name("numbers-"+name), bridge.Seal())
			ctx, cancel := context.WithCancelCause(t.Context())
			results := must(bridge.Gather(ctx, q, buffer...))(t)
			var got []int
			for range 5 {
				got = append(got, (<-results).Value)
			}
			waitFor(t, func() bool { return len(results) == min(cap(results), n-5) })
			cancel(why)
			waitFor(t, func() bool { return !consumed(t, ex, q.Name()) })
			cut(t, results, why)
			want(t, append(got, values(t, q)...), upTo(n)...)
			deleteAll(t, ex, q.Name())
		}
	})
}

func TestSlicesThatAreCutEndWithTheReason(t *testing.T) {
	const n = 100
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		for name, buffer := range buffers {
			q := scatter(t, ex, upTo(n), bridge.Name("numbers-"+name), bridge.Seal(), bridge.MaxBatch(5))
			ctx, cancel := context.WithCancel(t.Context())
			results := must(bridge.GatherSlices(ctx, q, buffer...))(t)
			var got []int
			for _, r := range <-results {
				got = append(got, r.Value)
			}
			waitFor(t, func() bool { return len(results) > 0 })
			cancel()
			waitFor(t, func() bool { return !consumed(t, ex, q.Name()) })
			last := join(t, results)
			if len(last) != 1 || !errors.Is(last[0].Err, context.Canceled) {
				t.Errorf("the gather ends with %v", last)
			}
			want(t, append(got, values(t, q)...), upTo(n)...)
			deleteAll(t, ex, q.Name())
		}
	})
}

func TestGathersTellThatTheExecutorIsClosed(t *testing.T) {
	for name, buffer := range buffers {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				results := must(bridge.Gather(t.Context(), scatter(t, ex, upTo(100)), buffer...))(t)
				<-results
				waitFor(t, func() bool { return len(results) > 0 })
				if err := ex.Close(); err != nil {
					t.Error(err)
				}
				cut(t, results, executor.ErrClosed)
			})
		})
	}
}

func TestALoopThatIsCutEndsWithTheReason(t *testing.T) {
	why := errors.New("no time")
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var got []int
		var last error
		for v, err := range bridge.All(ctx, scatter(t, ex, upTo(100))) {
			if last = err; err == nil {
				got = append(got, v)
			}
			if len(got) == 5 {
				cancel(why)
			}
		}
		want(t, got[:5], upTo(5)...)
		if !errors.Is(last, why) {
			t.Errorf("the loop ended with %v behind %d items", last, len(got))
		}
	})
}

// consumed tells whether a queue has a consumer.
func consumed(t *testing.T, ex *executor.Executor, queue string) bool {
	t.Helper()
	for _, q := range must(ex.Queues(t.Context()))(t) {
		if q.Name == queue {
			return q.Consumer != ""
		}
	}
	return false
}
