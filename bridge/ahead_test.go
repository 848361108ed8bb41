package bridge_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A gather that waits for an item in front of those that it has read acknowledges none, so no hint tells
// the worker of the room that its reads have made. The worker looks again by itself.
func TestWorkerFindsRoomThatReadsMakeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried atomic.Bool
		flaky := workers.Define("flaky", func(_ context.Context, x int) (int, error) {
			if x == 0 && !tried.Swap(true) {
				return 0, errors.New("not yet")
			}
			return x, nil
		})
		ex, err := executor.New(t.Context(), "", executor.Concurrency(4))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ex.Close() }()
		if err := ex.Register(flaky); err != nil {
			t.Fatal(err)
		}
		want := make([]int, 30)
		for i := range want {
			want[i] = i
		}
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(want))
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), flaky, q, executor.MaxSize(1),
			executor.Retries(1), executor.Backoff(50*time.Millisecond, 50*time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var got []int
		for x, err := range bridge.All(t.Context(), out) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, x)
		}
		if took := time.Since(began); !slices.Equal(got, want) || took > 10*time.Second {
			t.Errorf("got %v after %v", got, took)
		}
	})
}
