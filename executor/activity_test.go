package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/workers"
)

// gatherOf returns the gather of a queue, a zero value if there is none.
func gatherOf(s inspect.Snapshot, queue string) inspect.Gather {
	i := slices.IndexFunc(s.Gathers, func(g inspect.Gather) bool { return g.Queue == queue })
	if i < 0 {
		return inspect.Gather{}
	}
	return s.Gathers[i]
}

func TestSnapshotShowsASlowReader(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]int, 100)), bridge.Name("in"), bridge.Seal())
		if err != nil {
			t.Fatal(err)
		}
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), q, bridge.Buffer(1))
		if err != nil {
			t.Fatal(err)
		}
		<-results
		s := eventually(t, ex, "the reader is slow", func(s inspect.Snapshot) bool {
			g := gatherOf(s, "in")
			return g.State == inspect.Reader && g.Reader > 0.9 && g.Held > 0
		})
		g := gatherOf(s, "in")
		if g.Delivered != 1 || g.HeldBytes < g.Held || g.Wants != nil || g.Since.IsZero() || g.Since.After(s.At) || g.By.PID == 0 || g.By.State == inspect.Dead {
			t.Errorf("the gather is %+v", g)
		}
		for r := range results {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		if s := eventually(t, ex, "all is delivered", func(s inspect.Snapshot) bool { return queue(t, s, "in").Gather == nil }); len(s.Gathers) > 0 {
			t.Errorf("gathers are left: %+v", s.Gathers)
		}
		if n := executor.Activities(ex); n > 0 {
			t.Errorf("%d activities are left", n)
		}
		if err := ex.Delete(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
	})
}

// A result that is not acknowledged makes the gather wait for its program too.
func TestSnapshotShowsAReaderThatDoesNotAcknowledge(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]int, 10)), bridge.Name("in"), bridge.Seal())
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), q, bridge.ManualAck(), bridge.MaxUnacked(4))
		if err != nil {
			t.Fatal(err)
		}
		var open []bridge.Result[int]
		for range 4 {
			open = append(open, <-results)
		}
		s := eventually(t, ex, "the reader is slow", func(s inspect.Snapshot) bool {
			g := gatherOf(s, "in")
			return g.State == inspect.Reader && g.Reader > 0.9
		})
		if g := gatherOf(s, "in"); g.Held < 4 || g.Delivered != 0 || g.HeldBytes == 0 {
			t.Errorf("the gather is %+v", g)
		}
		bridge.AckAll(open)
		for r := range results {
			r.Ack()
		}
		if err := ex.Delete(t.Context(), "in"); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSnapshotShowsTheItemThatAGatherWants(t *testing.T) {
	t.Parallel()
	var hold chan struct{}
	slow := workers.Define("first", func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return n, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		hold = make(chan struct{})
		in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{0, 1, 2, 3}), bridge.Name("in"), bridge.Seal(), bridge.MaxBatch(1), bridge.DurableSource("numbers"))
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), slow, in, executor.Name("out"))
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		s := eventually(t, ex, "an item is missing", func(s inspect.Snapshot) bool { return gatherOf(s, "out").State == inspect.Missing })
		if g := gatherOf(s, "out"); g.Wants.Source != "numbers" || g.Wants.Offset != 0 || g.Wants.Since.After(s.At) || g.Wants.Since.IsZero() || g.Reader > 0.1 {
			t.Errorf("the gather is %+v, %+v", g, g.Wants)
		}
		close(hold)
		n := 0
		for r := range results {
			if r.Err != nil || r.Value != n {
				t.Errorf("result %d is %+v", n, r)
			}
			n++
		}
		for _, name := range []string{"in", "out"} {
			if err := ex.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
	}, slow)
}

func TestSnapshotShowsSourceWaits(t *testing.T) {
	t.Parallel()
	for state, opts := range map[string][]bridge.ScatterOption{
		inspect.Open: nil, inspect.Full: {bridge.MaxSize(10), bridge.MaxBatch(1)}, inspect.Window: {bridge.MaxInFlight(5), bridge.MaxBatch(1)},
	} {
		t.Run(state, func(t *testing.T) {
			onBoth(t, func(t *testing.T, ex *executor.Executor) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				input := make(chan int, 1000)
				for n := range cap(input) {
					input <- n
				}
				if _, err := bridge.Scatter(ctx, ex, input, append(opts, bridge.Name("in"))...); err != nil {
					t.Fatal(err)
				}
				var src inspect.Source
				s := eventually(t, ex, state, func(s inspect.Snapshot) bool {
					if len(s.Sources) == 0 {
						return false
					}
					src = s.Sources[0]
					return src.State == state && max(src.Caller, src.Waited) > 0.8
				})
				waits := state != inspect.Open
				if waits != (src.Waited > src.Caller) || waits == src.Since.IsZero() || src.Since.After(s.At) || src.Waited+src.Caller > 1.001 {
					t.Errorf("the source is %+v", src)
				}
				cancel()
				eventually(t, ex, "the end", func(s inspect.Snapshot) bool { return executor.Activities(ex) == 0 })
				if err := ex.Delete(t.Context(), "in"); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A card has room for the gathers that wait longest.
func TestACardHasTheGathersThatWaitLongest(t *testing.T) {
	t.Parallel()
	const gathers = 60
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var results []<-chan bridge.Result[int]
		for i := range gathers {
			values := []int{}
			if i == gathers-1 { // its program takes none
				values = make([]int, 10)
			}
			q, err := bridge.ScatterSeq(ctx, ex, slices.Values(values), bridge.Name(fmt.Sprintf("a-queue-whose-name-has-many-letters-%02d", i)))
			if err != nil {
				t.Fatal(err)
			}
			out, err := bridge.Gather(ctx, q, bridge.Buffer(1))
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, out)
		}
		s := eventually(t, ex, "the last one is reported", func(s inspect.Snapshot) bool {
			return len(s.Gathers) == gathers && s.Gathers[gathers-1].State == inspect.Reader
		})
		states := map[string]int{}
		for _, g := range s.Gathers {
			states[g.State]++
		}
		if states[inspect.Unknown] == 0 || states[inspect.Open] == 0 {
			t.Errorf("the gathers have the states %v", states)
		}
		cancel()
		for _, out := range results {
			for r := range out {
				if r.Err == nil && r.Value != 0 {
					t.Errorf("a result is %d", r.Value)
				}
			}
		}
		if n := executor.Activities(ex); n > 0 {
			t.Errorf("%d activities are left", n)
		}
		for i := range gathers {
			if err := ex.Delete(t.Context(), fmt.Sprintf("a-queue-whose-name-has-many-letters-%02d", i)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A stage has the times of its calls and of its in-queue, and a gather the times since the scatter, as
// soon as there are any.
func TestSnapshotHasTimes(t *testing.T) {
	t.Parallel()
	double := workers.Define("double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		if err := ex.Register(double); err != nil {
			t.Fatal(err)
		}
		in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]int, 10)), bridge.Name("in"), bridge.Seal(), bridge.MaxBatch(1))
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), double, in, executor.Name("out"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := ex.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st := s.Stages[0]; st.Done == 0 && (st.P95 != nil || st.Max != nil || st.BatchSize != nil || st.Wait != nil) {
			t.Errorf("a stage without a call is %+v", st)
		}
		results, err := bridge.Gather(t.Context(), out, bridge.ManualAck(), bridge.MaxUnacked(10))
		if err != nil {
			t.Fatal(err)
		}
		var open []bridge.Result[int]
		for range 10 {
			open = append(open, <-results)
		}
		s = eventually(t, ex, "the calls are reported", func(s inspect.Snapshot) bool { return s.Stages[0].Done == 10 && gatherOf(s, "out").Held == 10 })
		st := s.Stages[0]
		if st.P95 == nil || st.Max == nil || *st.P95 < st.P50 || *st.Max < st.P99 || st.BatchSize == nil || *st.BatchSize < 1 || *st.BatchSize > 10 {
			t.Errorf("the stage is %+v", st)
		}
		if w := st.Wait; w == nil || w.Count != 10 || w.P95 < w.P50 || w.Sum > 10*w.Max*11/10 || len(w.Times) == 0 {
			t.Errorf("the waits are %+v", w)
		}
		if g := gatherOf(s, "out"); g.Delivery != nil {
			t.Errorf("times of items that are not delivered: %+v", g.Delivery)
		}
		for _, r := range open[:7] {
			r.Ack()
		}
		s = eventually(t, ex, "seven are delivered", func(s inspect.Snapshot) bool { return gatherOf(s, "out").Delivered == 7 })
		if d := gatherOf(s, "out").Delivery; d == nil || d.Count != 7 || d.Sum <= 0 || d.Max < d.P50 {
			t.Errorf("the times of delivery are %+v", d)
		}
		for _, r := range open[7:] {
			r.Ack()
		}
		for range results {
		}
		if err := errors.Join(ex.Delete(t.Context(), "out"), ex.Delete(t.Context(), "in")); err != nil {
			t.Fatal(err)
		}
	})
}
