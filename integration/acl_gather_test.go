package integration

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// gatherers connects executors with the rights of a gatherer. It returns the queue orders of each.
func gatherers(t *testing.T, url string) (queues [2]*executor.Queue[int]) {
	t.Helper()
	for i := range queues {
		q, err := executor.Open[int](t.Context(), connected(t, url), "orders")
		if err != nil {
			t.Fatal(err)
		}
		queues[i] = q
	}
	return queues
}

// standsBy starts a gather that waits for the queue, and returns its results once its executor is
// registered as a standby.
func standsBy(t *testing.T, admin *redis.Client, q *executor.Queue[int], opts ...bridge.GatherOption) <-chan (<-chan bridge.Result[int]) {
	t.Helper()
	has := make(chan (<-chan bridge.Result[int]), 1)
	go func() {
		results, err := bridge.Gather(t.Context(), q, append(opts, bridge.Wait())...)
		if err != nil {
			t.Error(err)
		}
		has <- results
	}()
	testkit.Eventually(t, func() bool { return admin.Exists(t.Context(), "{dq:0}:standby:orders").Val() == 1 }, "the standby waits")
	return has
}

func TestGathererRoleMayStandBy(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	p, err := bridge.NewProducer[int](t.Context(), connected(t, address("producer")), bridge.Name("orders"), bridge.Seal())
	if err == nil {
		err = p.SendAll(t.Context(), []int{1, 2})
	}
	if err == nil {
		err = p.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	queues := gatherers(t, address("gatherer"))
	ctx, end := context.WithCancel(t.Context())
	first, err := bridge.Gather(ctx, queues[0], bridge.ManualAck())
	if err != nil {
		t.Fatal(err)
	}
	<-first
	has := standsBy(t, admin, queues[1])
	end()
	n := 0
	for r := range <-has {
		if n++; r.Value != n || r.Err != nil {
			t.Errorf("%v in the place of %d", r, n)
		}
	}
	if n != 2 {
		t.Errorf("%d results", n)
	}
	if err := connected(t, address("operator")).Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
	noDenials(t, admin, "config|get")
}
