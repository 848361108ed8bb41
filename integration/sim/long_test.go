//go:build !race

package sim

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/workers"
)

// A function may run for a hundred leases on one of several workers: no other worker takes its
// item.
func TestFunctionRunsForManyLeases(t *testing.T) {
	t.Parallel()
	count := &calls{n: map[string]int{}}
	synctest.Test(t, func(t *testing.T) {
		w := &world{server: embedded.New()}
		defer w.server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		long := workers.Define("long", func(_ context.Context, x number) (number, error) {
			count.add("long", x)
			pass(100 * lease)
			return x + 1, nil
		})
		work, stop := context.WithCancel(ctx)
		var fleet errgroup.Group
		for _, name := range []string{"w1", "w2", "w3"} {
			a := w.actor(name, true, stop)
			fleet.Go(func() error { return a.work(work, long, count.slow("double", func(x number) number { return 2 * x })) })
		}
		got, err := w.feed(ctx, long, workers.Remote[number, number]("double"))
		stop()
		if failed := fleet.Wait(); err == nil {
			err = failed
		}
		want := make([]number, items)
		for i := range want {
			want[i] = number(2 * (i + 1))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v", got, err)
		}
		pass(2 * time.Second) // see simulate
	})
	if err := count.once(); err != nil {
		t.Error(err)
	}
}
