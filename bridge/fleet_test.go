package bridge_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// Four workers, durations at random, some of which come and go meanwhile.
func TestAFleetKeepsTheOrder(t *testing.T) {
	slow := workers.Define("slow", func(ctx context.Context, x int) (int, error) {
		select {
		case <-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond):
			return x, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	var fleet errgroup.Group
	var stops []context.CancelFunc
	start := func() {
		ctx, stop := context.WithCancel(t.Context())
		w := must(workers.New(url, workers.Concurrency(4), workers.Functions(slow)))(t)
		fleet.Go(func() error { return w.Run(ctx) })
		stops = append(stops, stop)
	}
	for range 4 {
		start()
	}
	ex := must(executor.New(t.Context(), url))(t)
	next := 0
	for v, err := range bridge.All(t.Context(), stage(t, slow, stage(t, slow, scatter(t, ex, upTo(2000)))), bridge.Buffer(0)) {
		if err != nil || v != next {
			t.Fatalf("%d, %v where %d belongs", v, err, next)
		}
		if next++; next%500 == 0 { // one leaves, one comes
			stops[next/500-1]()
			start()
		}
	}
	if next != 2000 {
		t.Errorf("%d results", next)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
	for _, stop := range stops {
		stop()
	}
	if err := fleet.Wait(); err != nil {
		t.Error(err)
	}
}
