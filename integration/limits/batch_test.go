package limits_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

func TestBatchWaitsForItemsOrLinger(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		var made calls
		insert := workers.DefineBatch("insert", func(_ context.Context, xs []int) ([]int, error) {
			made.begin(len(xs))
			defer made.end()
			return xs, nil
		})
		f.StartWorker(workers.Functions(insert))
		f.StartWorker(workers.Functions(insert))
		ex, _ := f.StartExecutor()
		in := make(chan int)
		q, err := bridge.Scatter(t.Context(), ex, in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), insert, q, executor.Batch(10, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(in)
			for x := range 25 {
				in <- x
			}
			_ = sleep(t.Context(), 3*time.Second)
			for x := range 3 {
				in <- 25 + x
			}
			_ = sleep(t.Context(), 3*time.Second)
		}()
		if got, err := values(t, out); err != nil || !slices.Equal(got, upTo(28)) {
			t.Fatalf("the results are %v, %v", got, err)
		}
		if got := fmt.Sprint(made.sizes); got != "[10 10 5 3]" {
			t.Errorf("the calls have %s items", got)
		}
		times := made.since()
		for i, want := range []time.Duration{0, 0, time.Second, 4 * time.Second} {
			if times[i] < want-10*time.Millisecond || times[i] > want+10*time.Millisecond {
				t.Errorf("call %d began at %v", i, times[i])
			}
		}
	})
}

func TestBatchErrorsAreOfSingleItems(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		for retries, want := range map[int]string{0: "[a err c d] [4]", 2: "[a b c d] [4 1]"} {
			var made calls
			name := fmt.Sprint("mark", retries)
			mark := workers.DefineBatch(name, func(_ context.Context, xs []string) ([]string, error) {
				made.begin(len(xs))
				defer made.end()
				if len(xs) > 1 {
					return xs, workers.Errors{1: errors.New("not now")}
				}
				return xs, nil
			})
			worker := f.StartWorker(workers.Functions(mark))
			ex, _ := f.StartExecutor()
			q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]string{"a", "b", "c", "d"}))
			if err != nil {
				t.Fatal(err)
			}
			out, err := executor.Map(t.Context(), mark, q, executor.Batch(4, time.Second), executor.Retries(retries))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for x, err := range bridge.All(t.Context(), out) {
				if err != nil {
					x = "err"
				}
				got = append(got, x)
			}
			if text := fmt.Sprint(got, made.sizes); text != want {
				t.Errorf("with %d retries: %s", retries, text)
			}
			_ = worker.Terminate()
		}
	})
}

// Behind a FlatMap, n bounds the outputs of a call, also those of one input.
func TestBatchCountsOutputs(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		var made calls
		insert := workers.DefineBatch("insert", func(_ context.Context, xs []int) ([]int, error) {
			made.begin(len(xs))
			defer made.end()
			return xs, nil
		})
		below := workers.DefineFlatMap("below", func(_ context.Context, n int, yield func(int)) error {
			for x := range n {
				yield(x)
			}
			return nil
		})
		f.StartWorker(workers.Functions(insert, below))
		ex, _ := f.StartExecutor()
		in := []int{3, 7, 0, 25, 4, 4, 4, 4, 12, 1}
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(in))
		if err != nil {
			t.Fatal(err)
		}
		many, err := flow.FlatMap(t.Context(), below, q)
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), insert, many, executor.Batch(10, time.Second))
		if err != nil {
			t.Fatal(err)
		}
		var want []int
		for _, n := range in {
			want = append(want, upTo(n)...)
		}
		if got, err := values(t, out); err != nil || !slices.Equal(got, want) {
			t.Fatalf("the results are %v, %v", got, err)
		}
		if slices.Max(made.sizes) > 10 {
			t.Errorf("the calls have %v items", made.sizes)
		}
	})
}
