package workers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker whose calls fail at once is faster than one that works. It leaves the retries to that
// one.
func TestRetriesGoToAWorkerThatSucceeds(t *testing.T) {
	const n = 200
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	broken := workers.Define("f", func(context.Context, int) (int, error) { return 0, errBroken })
	works := workers.Define("f", func(_ context.Context, x int) (int, error) {
		<-time.After(20 * time.Millisecond) // the time of the function
		return x, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	for _, f := range []workers.Function{broken, works} {
		w := must(workers.New(url, workers.Concurrency(4), workers.Functions(f), workers.Logger(nil)))(t)
		go func() { ended <- w.Run(ctx) }()
		<-w.Ready()
	}
	ex := must(executor.New(t.Context(), url))(t)
	in := must(bridge.ScatterSeq(t.Context(), ex, ints(n), bridge.MaxBatch(1)))(t)
	got, failed := 0, 0
	for v, err := range bridge.All(t.Context(), must(executor.Map(t.Context(), works, in, executor.Retries(5)))(t)) {
		if err == nil && v != got {
			t.Errorf("item %d: got %d", got, v)
		}
		if err != nil {
			failed++
		}
		got++
	}
	if got != n || failed > 0 {
		t.Errorf("%d results of %d, %d failed", got, n, failed)
	}
	stop()
	if err := errors.Join(<-ended, <-ended, ex.Close()); err != nil {
		t.Error(err)
	}
}
