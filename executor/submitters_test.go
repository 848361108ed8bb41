package executor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A timeout that is the remaining time of a deadline makes a stage for each call. Idle stages are
// deleted when more are made, but not a stage that has a future without a result.
func TestSubmitKeepsFewQueues(t *testing.T) {
	gate := make(chan struct{})
	wait := workers.Define("wait", func(ctx context.Context, x int) (int, error) {
		if x == 0 {
			select {
			case <-gate:
			case <-ctx.Done():
			}
		}
		return x + 1, ctx.Err()
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		t.Helper()
		gate = make(chan struct{})
		patient, err := executor.Submit(t.Context(), ex, wait, 0, executor.Timeout(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			f, err := executor.Submit(t.Context(), ex, wait, i+1, executor.Timeout(time.Minute+time.Duration(i)))
			if err != nil {
				t.Fatal(err)
			}
			if v, err := f.Result(t.Context()); v != i+2 || err != nil {
				t.Errorf("call %d: %d, %v", i, v, err)
			}
		}
		testkit.Eventually(t, func() bool {
			queues, err := ex.Queues(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(queues) <= 7
		}, "few queues are left")
		close(gate)
		if v, err := patient.Result(t.Context()); v != 1 || err != nil {
			t.Errorf("the first call: %d, %v", v, err)
		}
	}, wait)
}

// The queue and the stage of a function that no call is submitted to any more go after a while.
func TestIdleSubmittersAreForgotten(t *testing.T) {
	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	synctest.Test(t, func(t *testing.T) {
		ex, err := executor.New(t.Context(), "")
		if err == nil {
			err = ex.Register(double)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
		}()
		for range 2 {
			for range 3 {
				f, err := executor.Submit(t.Context(), ex, double, 2)
				if err != nil {
					t.Fatal(err)
				}
				if v, err := f.Result(t.Context()); v != 4 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
				<-time.After(45 * time.Second)
				if n := executor.Submitters(ex); n != 1 {
					t.Errorf("%d submitters while one is used", n)
				}
			}
			<-time.After(2 * time.Minute)
			if n := executor.Submitters(ex); n != 0 {
				t.Errorf("%d idle submitters", n)
			}
			gone(t, ex)
		}
	})
}
