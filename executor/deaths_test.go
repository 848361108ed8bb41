package executor_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A worker is in each partition: a snapshot counts its death once, and the worker at the queues once.
func TestSnapshotCountsWorkersOfPartitionsOnce(t *testing.T) {
	t.Parallel()
	server, ns := testkit.SharedRedis(t), testkit.Namespace(t)
	url := server.URL() + "/?partitions=2&ns=" + ns
	ex, err := executor.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer raw.Close()
	for key, deaths := range map[string]int{":0}:watcher": 3, ":1}:watcher": 5} {
		if err := raw.HSet(t.Context(), "{"+ns+key, "deaths", deaths).Err(); err != nil {
			t.Fatal(err)
		}
	}
	seen := float64(time.Now().UnixMilli())
	for _, key := range []string{":0}:workers", ":1}:workers"} { // a worker that waits at queues
		if err := raw.ZAdd(t.Context(), "{"+ns+key, redis.Z{Score: seen, Member: "w"}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ex.Snapshot(t.Context())
	if err != nil || s.WorkerDeaths != 5 || s.AtQueues != 1 {
		t.Errorf("%d deaths, %d workers at queues, %v", s.WorkerDeaths, s.AtQueues, err)
	}
}
