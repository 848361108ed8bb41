package workers_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// An item whose function ignores its context fails with a timeout. Its slot goes on with others,
// and later results of the call are dropped. The worker counts the call meanwhile.
func TestFunctionsThatDoNotReturnAreLeftBehind(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, ex *executor.Executor) {
		release, offsets := make(chan struct{}), make(chan int64, 2)
		deaf := func(ctx context.Context, x int) (int, error) {
			switch x {
			case 2:
				<-release
				at, _ := workers.ItemFrom(ctx)
				offsets <- at.Offset
			case 4:
				panic("at the disco")
			case 5:
				runtime.Goexit()
			}
			return x, nil
		}
		single := workers.Define("single", deaf)
		whole := workers.DefineBatch("batch", func(ctx context.Context, xs []int) ([]int, error) {
			for _, x := range xs {
				if _, err := deaf(ctx, x); err != nil {
					return nil, err
				}
			}
			return xs, nil
		}, workers.BatchSize(1, 1))
		if err := ex.Register(single, whole); err != nil {
			t.Fatal(err)
		}
		for i, f := range []workers.Func[int, int]{single, whole} {
			q := must(bridge.ScatterSeq(t.Context(), ex, ints(8), bridge.MaxBatch(1)))(t)
			q = must(executor.Map(t.Context(), f, q, executor.Timeout(50*time.Millisecond), executor.NoFuse()))(t)
			wantLeftBehind(t, must(bridge.Gather(t.Context(), q))(t))
			stuck := func(n int) func() bool {
				return func() bool {
					all := must(ex.Workers(t.Context()))(t)
					return len(all) == 1 && all[0].Stuck == n
				}
			}
			testkit.Eventually(t, stuck(1), "one function is stuck")
			close(release)
			if offset := <-offsets; offset != 2 {
				t.Errorf("%d: the function left behind has item %d", i, offset)
			}
			testkit.Eventually(t, stuck(0), "none is stuck")
			release = make(chan struct{})
		}
	})
}

// wantLeftBehind checks the results of 8 items, of which one timed out, one panicked and one called
// Goexit.
func wantLeftBehind(t *testing.T, results <-chan bridge.Result[int]) {
	t.Helper()
	next := 0
	for r := range results {
		var failed *executor.ItemError
		want := map[int]string{2: batch.CodeTimeout, 4: batch.CodePanic, 5: batch.CodePanic}[next]
		switch {
		case want == "" && (r.Err != nil || r.Value != next):
			t.Errorf("%d: %d, %v", next, r.Value, r.Err)
		case want != "" && (!errors.As(r.Err, &failed) || failed.Code != want):
			t.Errorf("%d: %v, want %s", next, r.Err, want)
		case next == 2 && !strings.Contains(r.Err.Error(), "left behind"):
			t.Error(r.Err)
		}
		next++
	}
	if next != 8 {
		t.Errorf("%d results", next)
	}
}
