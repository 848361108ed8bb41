package workers_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

// tunedWorker runs a worker with one slot and a function until stop is called.
func tunedWorker(t *testing.T, url string, f workers.Function) (_ *worker.Tuning, stop func() error) {
	t.Helper()
	tuning := worker.NewTuning(1, nil)
	w := must(workers.New(url, workers.Functions(f), workers.Logger(nil), func(o *worker.Options) error {
		o.Tuning = tuning
		return nil
	}))(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return tuning, func() error {
		cancel()
		return <-done
	}
}

// A worker takes a new concurrency and new limits of functions while it runs. Calls that run go on.
func TestAWorkerIsTunedWhileItRuns(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	var running, ended = make(chan int, 100), make(chan struct{})
	f := workers.Define("f", func(ctx context.Context, x int) (int, error) {
		running <- x
		select {
		case <-ended:
		case <-ctx.Done():
		}
		return x, ctx.Err()
	})
	tuning, stop := tunedWorker(t, url, f)
	ex := must(executor.New(t.Context(), url, executor.Logger(nil)))(t)
	q := must(executor.Map(t.Context(), f, must(bridge.ScatterSeq(t.Context(), ex, ints(20), bridge.MaxBatch(1)))(t)))(t)
	begun := 0
	begin := func(n int) {
		t.Helper()
		for ; begun < n; begun++ {
			<-running
		}
		if len(running) > 0 {
			t.Errorf("more than %d calls run", n)
		}
	}
	set := func(concurrency int, limits map[string]int) {
		t.Helper()
		if err := tuning.Set(t.Context(), concurrency, limits, nil); err != nil {
			t.Error(err)
		}
		all, err := ex.Workers(t.Context())
		if err != nil || len(all) != 1 || all[0].Concurrency != concurrency {
			t.Errorf("other processes see %+v, %v", all, err)
		}
	}
	begin(1)
	set(3, nil)
	begin(3)
	set(6, map[string]int{"f": 4})
	begin(4)
	set(6, nil)
	begin(6)
	set(2, nil)
	for range 4 { // four of six calls end, and no further one begins
		ended <- struct{}{}
	}
	ended <- struct{}{}
	begin(7)
	close(ended)
	n := 0
	for _, err := range bridge.All(t.Context(), q) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(stop(), ex.Close()); n != 20 || err != nil {
		t.Errorf("%d results, %v", n, err)
	}
}

// redefined returns definitions for Tuning.Set.
func redefined(t *testing.T, functions ...workers.Function) []*runner.Function {
	t.Helper()
	options := worker.Options{Functions: []*runner.Function{}}
	if err := workers.Functions(functions...)(&options); err != nil {
		t.Fatal(err)
	}
	return options.Functions
}

// A blocking function counts the items that begin, and ends each of them when it is told to.
type blocking struct {
	begun chan int
	ended chan struct{}
}

// adding returns a definition of f.
func (b blocking) adding(n int) workers.Func[int, int] {
	return workers.Define("f", func(ctx context.Context, x int) (int, error) {
		b.begun <- x
		select {
		case <-b.ended:
			return n + x, nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	})
}

// A call that runs ends by its definition, and the next item of the same batch is run by the new one.
// Without the function no item begins, until the worker has it again.
func TestFunctionsAreReplacedWhileItemsRun(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	f := blocking{make(chan int, 100), make(chan struct{})}
	first, other := f.adding(100), workers.Define("other", func(_ context.Context, x int) (int, error) { return -x, nil })
	tuning, stop := tunedWorker(t, url, first)
	ex := must(executor.New(t.Context(), url, executor.Logger(nil)))(t)
	set := func(functions ...workers.Function) {
		t.Helper()
		if err := tuning.Set(t.Context(), 2, map[string]int{"f": 1}, redefined(t, functions...)); err != nil {
			t.Error(err)
		}
		if v, err := must(executor.Submit(t.Context(), ex, other, 7))(t).Result(t.Context()); v != -7 || err != nil { // the worker has looked at its stages
			t.Errorf("the new function: %d, %v", v, err)
		}
	}
	in := make(chan int)
	q := must(executor.Map(t.Context(), first, must(bridge.Scatter(t.Context(), ex, in, bridge.MaxBatch(3)))(t)))(t)
	results := must(bridge.Gather(t.Context(), q))(t)
	next := func(want int) {
		t.Helper()
		f.ended <- struct{}{}
		if got := <-results; got.Value != want || got.Err != nil {
			t.Errorf("%d, %v, not %d", got.Value, got.Err, want)
		}
	}
	in <- 0
	in <- 1
	in <- 2
	<-f.begun
	set(f.adding(200), other)
	next(100)
	<-f.begun
	next(201)
	<-f.begun
	next(202)
	set(other)
	if all, err := ex.Workers(t.Context()); err != nil || len(all) != 1 || !slices.Equal(all[0].Functions, []string{"other"}) {
		t.Errorf("other processes see %+v, %v", all, err)
	}
	in <- 3
	last := f.adding(300)
	set(last, other) // which begins the first item of last, and none before
	<-f.begun
	set(other)
	next(303) // its call ran on
	in <- 4
	set(last, other) // the same definition again
	<-f.begun
	next(304)
	close(in)
	for r := range results {
		t.Errorf("one more result: %v", r)
	}
	if err := errors.Join(stop(), ex.Close()); err != nil {
		t.Error(err)
	}
}
