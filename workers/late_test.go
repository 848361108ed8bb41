package workers_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// afterBeat waits for the next heartbeat of the only worker of a registry.
func afterBeat(t *testing.T, raw *redis.Client, registry string) {
	t.Helper()
	beat := func() float64 { return raw.ZRangeWithScores(t.Context(), registry, 0, -1).Val()[0].Score }
	last := beat()
	testkit.Eventually(t, func() bool { return beat() != last }, "a heartbeat")
}

// A request of a worker fails with its connection, and Redis runs it after the worker has asked for
// its held entries. The worker asks once more.
func TestWhatALateRequestBringsIsFound(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer raw.Close()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	w, err := workers.New(server.URL(), workers.Functions(inc), workers.Lease(6*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	ex, err := executor.New(t.Context(), server.URL())
	if err != nil {
		t.Fatal(err)
	}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{41}))
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads := func() int { return strings.Count(raw.ClientList(t.Context()).Val(), "cmd=xreadgroup") }
	testkit.Eventually(t, func() bool { return reads() == 1 }, "the worker waits")
	if err := raw.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal").Err(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return reads() == 1 }, "the worker waits again")
	// Until then the worker has noticed the ends of its other connections too, and has asked. It asks
	// once more a lease later, and for no other reason.
	for range 4 {
		afterBeat(t, raw, "{dq:0}:workers")
	}
	err = raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: "w", Consumer: raw.ZRange(t.Context(), "{dq:0}:workers", 0, -1).Val()[0], Streams: []string{"{dq:0}:q:" + q.Name(), ">"}, Block: -1,
	}).Err()
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), inc, q)
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range bridge.All(t.Context(), out) {
		if v != 42 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
