package bridge_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// D6: in=2 and out=3 without a reader. The producer can send as many items as docs/dask.md says,
// and then waits until the reader reads.
func TestD06BoundedQueuesStopTheProducer(t *testing.T) {
	const slots = 4
	const most = 2 + 3*2 + 2*slots*2 + 3
	synctest.Test(t, func(t *testing.T) {
		ex := must(executor.New(t.Context(), "", executor.Concurrency(slots)))(t)
		if err := ex.Register(inc); err != nil {
			t.Fatal(err)
		}
		in := make(chan int, 2)
		out := stage(t, inc, must(bridge.Scatter(t.Context(), ex, in, bridge.MaxSize(2)))(t), executor.MaxSize(3))
		var put atomic.Int64
		go func() {
			defer close(in)
			for i := range 200 {
				in <- i
				put.Add(1)
			}
		}()
		<-time.After(time.Minute)
		synctest.Wait()
		settled := put.Load()
		<-time.After(time.Minute)
		synctest.Wait()
		if put.Load() != settled || settled > most || settled < 2+2+3 {
			t.Errorf("%d taken, then %d; at most %d may be", settled, put.Load(), most)
		}
		want(t, values(t, out), upTo(201)[1:]...)
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestMaxInFlightHoldsFromTheFirstItem(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const n, window = 500, 20
		in := make(chan int)
		q := stage(t, inc, must(bridge.Scatter(t.Context(), ex, in, bridge.MaxInFlight(window)))(t))
		go func() {
			defer close(in)
			for i := range n {
				in <- i
			}
		}()
		waitFor(t, func() bool { return must(q.Len(t.Context()))(t) == window })
		i := 0
		for v, err := range bridge.All(t.Context(), q, bridge.Buffer(0)) {
			if err != nil || v != i+1 {
				t.Fatalf("%d, %v", v, err)
			}
			if waiting := must(q.Len(t.Context()))(t); waiting > window {
				t.Fatalf("%d wait", waiting)
			}
			i++
		}
		if i != n {
			t.Errorf("%d results", i)
		}
	}, inc)
}

// A backlog from before the first gather is larger than the window. The item at its head takes a
// minute. The items that workers finish meanwhile, which the gather has to hold, stay within the
// window and one batch.
func TestTheWindowHoldsForABacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, window, batch = 400_000, 1 << 18, 8192
		var calls atomic.Int64
		gathered := make(chan struct{})
		slow := workers.Define("slow", func(_ context.Context, x int) (int, error) {
			<-gathered
			if x == 0 {
				<-time.After(time.Minute)
			}
			calls.Add(1)
			return x, nil
		})
		ex := must(executor.New(t.Context(), ""))(t)
		q := scatter(t, ex, upTo(n), bridge.Name("backlog"), bridge.Seal())
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		register(t, ex, slow)
		results := must(bridge.Gather(t.Context(), stage(t, slow, q)))(t)
		close(gathered)
		<-time.After(30 * time.Second)
		synctest.Wait()
		if done := calls.Load(); done < window-batch || done > window+batch {
			t.Errorf("%d of %d are done while the first is not", done, n)
		}
		at := 0
		for r := range results {
			if r.Err != nil || r.Value != at {
				t.Fatalf("%v where %d is due", r, at)
			}
			at++
		}
		if at != n {
			t.Errorf("%d results", at)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestUnorderedLosesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		seen := map[int]int{}
		for _, v := range values(t, stage(t, inc, scatter(t, ex, upTo(5000))), bridge.Unordered()) {
			seen[v]++
		}
		for i := range 5000 {
			if seen[i+1] != 1 {
				t.Fatalf("%d came %d times", i+1, seen[i+1])
			}
		}
	}, inc)
}

func TestTheBufferIsTheSeedsQsize(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		results := must(bridge.Gather(t.Context(), stage(t, inc, scatter(t, ex, upTo(9)))))(t)
		waitFor(t, func() bool { return len(results) == 9 })
		for i := range 9 {
			if r := <-results; r.Value != i+1 || r.Err != nil || len(results) != 8-i {
				t.Errorf("%v with %d behind it", r, len(results))
			}
		}
	}, inc)
}

// 100 bytes are what four strings of 20 take; one of 1,000 enters alone.
func TestMaxBytesBoundsBothQueues(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		items := slices.Repeat([]string{strings.Repeat("x", 20)}, 300)
		items[7], items[8] = strings.Repeat("y", 1000), strings.Repeat("z", 1000)
		q := scatter(t, ex, items, bridge.MaxBytes(100))
		waitFor(t, func() bool { return must(q.Len(t.Context()))(t) == 4 })
		out := stage(t, same, q, executor.MaxBytes(100))
		waitFor(t, func() bool { return must(q.Len(t.Context()))(t) > 0 && must(out.Len(t.Context()))(t) > 0 })
		for _, info := range must(ex.Queues(t.Context()))(t) {
			if info.Name == q.Name() && info.Waiting > 1 && info.Bytes > 100 {
				t.Errorf("%d items of %d bytes wait", info.Waiting, info.Bytes)
			}
		}
		want(t, values(t, out), items...)
	}, same)
}

// A slot takes single items from stage to stage. It stops before a full out-queue, and the items
// wait between the stages.
func TestASlotDoesNotGoOnBeyondABound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const sent, most = 28, 17 // of a MiB each
		in := make(chan string)
		defer close(in)
		q := must(bridge.Scatter(t.Context(), ex, in))(t)
		between := stage(t, same, q, executor.NoFuse())
		out := stage(t, same, between, executor.NoFuse(), executor.MaxBytes(most<<20))
		for i := range sent {
			in <- strings.Repeat("x", 1<<20)
			waitFor(t, func() bool { return must(between.Len(t.Context()))(t)+must(out.Len(t.Context()))(t) == i+1 })
		}
		if got := must(out.Len(t.Context()))(t); got < most || got > most+6 {
			t.Errorf("%d MiB wait for a reader, and the bound is %d", got, most)
		}
	}, same)
}
