package workers_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
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
		if err := tuning.Set(t.Context(), concurrency, limits); err != nil {
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
