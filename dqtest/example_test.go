package dqtest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// The functions and the pipeline of the program under test.
var (
	length = workers.Define("length", func(_ context.Context, s string) (int, error) { return len(s), nil })
	square = workers.Define("square", func(ctx context.Context, n int) (int, error) {
		select {
		case <-time.After(time.Minute): // an expensive one
			return n * n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
)

func areas(ctx context.Context, words *executor.Queue[string]) (*executor.Queue[int], error) {
	lengths, err := executor.Map(ctx, length, words)
	if err != nil {
		return nil, err
	}
	return executor.Map(ctx, square, lengths)
}

// A whole pipeline in one line. The functions take minutes, the test takes milliseconds.
func TestAreas(t *testing.T) {
	got := dqtest.Values(t, areas, []string{"a", "bc", "def"}, length, square)
	if !slices.Equal(got, []int{1, 4, 9}) {
		t.Errorf("the areas are %v", got)
	}
}

// A worker dies after it has run a function four times. The other worker runs again the items whose
// results were not stored, and the results are the same as without a fault.
func TestPipelineSurvivesWorkerDeath(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(length, square)).KillAfter(4)
		words := []string{"a", "bc", "def", "ghij", "klmno"}
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(words))
		if err != nil {
			t.Fatal(err)
		}
		out, err := areas(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		f.StartWorker(workers.Functions(length, square))
		var got []int
		for v, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, v)
		}
		if !slices.Equal(got, []int{1, 4, 9, 16, 25}) {
			t.Errorf("the areas are %v", got)
		}
	})
}

// Queues shows the waiting items before virtual time advances.
func TestPipelineQueues(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]string{"a", "bc"}), bridge.Name("words"))
		if err != nil {
			t.Fatal(err)
		}
		<-q.Done()
		queues := f.Queues()
		if len(queues) != 1 || queues[0].Name != "words" || queues[0].Waiting != 2 {
			t.Errorf("the queues are %+v", queues)
		}
		if err := ex.Delete(t.Context(), "words"); err != nil {
			t.Fatal(err)
		}
	})
}

// A broker that restarts empty loses items. Each lost item becomes an error in its place.
func TestPipelineReportsLostData(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]string{"a", "bc"}))
		if err != nil {
			t.Fatal(err)
		}
		out, err := areas(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		f.StartWorker(workers.Functions(length, square))
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		<-q.Done()
		f.LoseData()
		for r := range results {
			if !errors.Is(r.Err, executor.ErrQueueNotFound) && !errors.Is(r.Err, executor.ErrLost) {
				t.Errorf("a result is %v", r)
			}
		}
	})
}
