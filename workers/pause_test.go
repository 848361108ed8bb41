package workers_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker with a reason to pause calls no function until the reason is gone. Then it runs the
// waiting items.
func TestAWorkerPausesWhileThereIsAReason(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	var busy atomic.Bool
	var asked, called atomic.Int64
	busy.Store(true)
	f := workers.Define("f", func(ctx context.Context, x int) (int, error) {
		called.Add(1)
		if at, _ := workers.ItemFrom(ctx); at.Attempt != 1 {
			return 0, errors.New("an attempt was counted")
		}
		return x, nil
	})
	w := must(workers.New(url, workers.Functions(f), workers.Concurrency(2), workers.Logger(nil), workers.PauseIf(func() error {
		asked.Add(1)
		if busy.Load() {
			return errors.New("busy")
		}
		return nil
	})))(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	ex := must(executor.New(t.Context(), url, executor.Logger(nil)))(t)
	q := must(executor.Map(t.Context(), f, must(bridge.ScatterSeq(t.Context(), ex, ints(50)))(t), executor.Timeout(time.Minute)))(t)
	testkit.Eventually(t, func() bool { return asked.Load() > 2 }, "the worker asks again")
	if n := called.Load(); n > 0 {
		t.Errorf("%d calls while there is a reason to pause", n)
	}
	busy.Store(false)
	var got []int
	for x, err := range bridge.All(t.Context(), q) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, x)
	}
	if len(got) != 50 || !slices.IsSorted(got) {
		t.Errorf("%v", got)
	}
	cancel()
	if err := errors.Join(<-ended, ex.Close()); err != nil {
		t.Error(err)
	}
	if _, err := workers.New(url, workers.PauseIf(nil)); err == nil {
		t.Error("PauseIf(nil) is no error")
	}
}
